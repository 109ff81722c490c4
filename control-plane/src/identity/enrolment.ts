import { createHash, X509Certificate } from 'node:crypto';
import type { Clock } from '@remora/core/clock';
import { subjectKey } from '@remora/core/subject';
import type { Subject } from '@remora/core/subject';
import { fitsCommonName, svidProfile } from '@remora/identity/certificate-profile';
import { issueCertificate } from '@remora/identity/issue-certificate';
import { readCertificate } from '@remora/identity/pem';
import { readCertificateRequest, type CertificateRequest } from '@remora/identity/read-certificate-request';
import { isRenewalProof } from '@remora/identity/renewal-proof';
import { formatSpiffeId, subjectOfSpiffeId, subjectSpiffeId } from '@remora/identity/spiffe-id';
import { rootDigest } from '@remora/identity/trust-bundle-facts';
import { verifyChain } from '@remora/identity/verify-chain';
import type { ProcessLog } from '../process-log.ts';
import type { AuthorityKeeper } from './authority-keeper.ts';
import type { GroupFlush } from './group-flush.ts';
import type { JoinTokens } from './join-tokens.ts';
import type { NodeRecord, NodeRecords } from './node-records.ts';
import type { Revocations } from './revocations.ts';
import { authorityEndsMs } from './signing-authority.ts';

export interface JoinQuestion {
  readonly tokenId: string;
  readonly tokenSecret: string;
  readonly nodeId: string;
  readonly subject: Subject;
  /** PKCS #10, DER. */
  readonly request: Uint8Array;
}

export interface RenewQuestion {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly request: Uint8Array;
  readonly proof: Uint8Array;
}

export interface IssuedCredential {
  readonly kind: 'issued';
  readonly leaf: X509Certificate;
  readonly chain: readonly Uint8Array[];
  readonly roots: readonly Uint8Array[];
  readonly trustDomain: string;
  readonly recoverUntilMs: number;
}

/** `message` is for people, whole sentences without the last stop; nothing secret is in it. */
export interface EnrolmentRefusal {
  readonly kind: 'refused';
  readonly code: string;
  readonly message: string;
  /** Whether the same question can succeed later. */
  readonly retry: boolean;
}

export interface EnrolmentDeps {
  readonly keeper: AuthorityKeeper;
  readonly tokens: JoinTokens;
  readonly nodes: NodeRecords;
  readonly revocations: Revocations;
  readonly flush: GroupFlush;
  readonly clock: Clock;
  readonly log: ProcessLog;
  /** How long after its certificate ended an instance can still renew it. */
  readonly recoveryMs: number;
}

/** By `join`, `renew`, `recover`; and by refusal code. */
export interface EnrolmentCounts {
  readonly issued: ReadonlyMap<string, number>;
  readonly refused: ReadonlyMap<string, number>;
}

/**
 * Issues SVIDs: for a join token, or for the certificate before. The key proof is checked in each case, and the id issued is
 * the token's or the old certificate's, whatever the request says; one that asks for another is refused, not corrected.
 */
export class Enrolment {
  readonly #deps: EnrolmentDeps;
  readonly #issued = new Map<string, number>([['join', 0], ['renew', 0], ['recover', 0]]);
  readonly #refused = new Map<string, number>();

  constructor(deps: EnrolmentDeps) {
    this.#deps = deps;
  }

  get counts(): EnrolmentCounts {
    return { issued: this.#issued, refused: this.#refused };
  }

  async join(question: JoinQuestion): Promise<IssuedCredential | EnrolmentRefusal> {
    const { nodeId, subject } = question;
    const who = { nodeId: nodeId.slice(0, 64), subject: subjectKey(subject).slice(0, 100) };
    if (!isNodeId(nodeId)) return this.#refuse(who, 'bad-request', 'the node id must have 1 to 64 characters of A-Z a-z 0-9 . _ : -; another one is given with --node-id');
    const request = this.#request(question.request, subject);
    if ('code' in request) return this.#refuse(who, request.code, request.message);
    const { nodes, tokens } = this.#deps;
    const redemption = { id: question.tokenId, secret: question.tokenSecret, subject, nodeId, keyHash: createHash('sha256').update(request.spki).digest('base64url') };
    // The secret first: who has none learns nothing about nodes.
    const checked = tokens.check(redemption);
    if (!checked.ok) return this.#refuse(who, checked.code, checked.message);
    const revoked = this.#revokedAtJoin(question);
    if (revoked) return this.#refuse(who, 'certificate-revoked', revoked.message, revoked.retry);
    const known = nodes.find(nodeId);
    if (known && known.subject !== subjectKey(subject)) return this.#refuse(who, 'node-id-taken', `there is an instance ${nodeId} already, of ${known.subject}; another name is given with --node-id`);
    if (!nodes.hasRoomFor(nodeId)) return this.#refuse(who, 'too-many-nodes', `this control plane keeps the certificates of ${nodes.size} instances already`);
    tokens.redeem(redemption);
    return this.#issue({ nodeId, subject, request, how: 'join', token: question.tokenId, known });
  }

  async renew(question: RenewQuestion): Promise<IssuedCredential | EnrolmentRefusal> {
    const { keeper, clock, nodes, recoveryMs } = this.#deps;
    const [leaf, ...above] = question.chain.slice(0, 8).map((raw) => readCertificate(raw));
    if (!leaf || above.includes(null)) return this.#refuse({}, 'bad-request', 'the certificate to renew cannot be read');
    const { trustDomain, roots, intermediates } = keeper.authority;
    const nowMs = clock.wallMs();
    const checked = verifyChain({ leaf, intermediates: [...above.filter((one) => one !== null), ...intermediates], bundle: { trustDomain, roots: [...roots, ...keeper.retiredRoots] }, nowMs, purpose: 'client', expiredForMaxMs: recoveryMs });
    if (!checked.ok) return this.#refuse({}, checked.code, checked.code === 'certificate-expired' ? `${checked.problem}, too long ago to be renewed; a new join token is needed` : checked.problem);
    const subject = subjectOfSpiffeId(checked.id);
    const nodeId = checked.commonName;
    const who = { nodeId, subject: checked.id.path.slice(1) };
    if (subject === null) return this.#refuse(who, 'other-subject', 'the certificate is of no service or gateway');
    if (!isRenewalProof(question.request, question.proof, leaf.publicKey)) return this.#refuse(who, 'key-proof', 'the proof that the key of the old certificate is there does not hold');
    const { serialNumber, validFromDate } = leaf;
    if (this.#deps.revocations.isRevoked({ serial: serialNumber, subject: subjectKey(subject), nodeId, fromMs: validFromDate.getTime() })) {
      return this.#refuse(who, 'certificate-revoked', `the certificate of ${nodeId} was revoked; a join token made after that lets it in again`);
    }
    const request = this.#request(question.request, subject);
    if ('code' in request) return this.#refuse(who, request.code, request.message);
    const known = nodes.find(nodeId);
    if (known && known.subject !== subjectKey(subject)) return this.#refuse(who, 'node-id-taken', `the instance ${nodeId} is of ${known.subject} now`);
    const ended = leaf.validToDate.getTime() <= nowMs;
    // An old copy of a data directory cannot come back: only what was issued last, or just before it.
    if (ended && !known?.serials.includes(leaf.serialNumber)) return this.#refuse(who, 'superseded', `the certificate ended, and is not the newest of ${nodeId}; a new join token is needed`);
    if (!nodes.hasRoomFor(nodeId)) return this.#refuse(who, 'too-many-nodes', `this control plane keeps the certificates of ${nodes.size} instances already`);
    return this.#issue({ nodeId, subject, request, how: ended ? 'recover' : 'renew', token: known?.token ?? '', known });
  }

  /** A token that was there before does not let in again who was revoked; and times in certificates have whole seconds. */
  #revokedAtJoin({ tokenId, subject, nodeId }: JoinQuestion): { readonly message: string; readonly retry: boolean } | null {
    const { revocations, tokens, clock } = this.#deps;
    const revokedMs = revocations.lastOf(subjectKey(subject), nodeId);
    if (revokedMs === 0) return null;
    if ((tokens.find(tokenId)?.createdMs ?? 0) <= revokedMs) return { message: `${nodeId} was revoked; a join token made after that lets it in again`, retry: false };
    return Math.floor(clock.wallMs() / 1_000) * 1_000 <= revokedMs ? { message: `${nodeId} was revoked this second`, retry: true } : null;
  }

  #request(bytes: Uint8Array, subject: Subject): CertificateRequest | { readonly code: string; readonly message: string } {
    const read = readCertificateRequest(bytes);
    if (!read.ok) return { code: read.code, message: read.problem };
    const own = formatSpiffeId(subjectSpiffeId(this.#deps.keeper.authority.trustDomain, subject));
    const { uris, otherNames } = read.request;
    if (otherNames > 0 || uris.length > 1) return { code: 'other-subject', message: `the certification request asks for more names than ${own}` };
    if (uris.length === 1 && uris[0] !== own) return { code: 'other-subject', message: `the certification request asks for ${uris[0]?.slice(0, 300)}, and ${own} is what can be issued` };
    return read.request;
  }

  async #issue(to: { readonly nodeId: string; readonly subject: Subject; readonly request: CertificateRequest; readonly how: NodeRecord['how']; readonly token: string; readonly known: NodeRecord | null }): Promise<IssuedCredential | EnrolmentRefusal> {
    const { keeper, clock, nodes, flush, log, recoveryMs } = this.#deps;
    const { nodeId, subject, how, token, known } = to;
    const { authority } = keeper;
    const { trustDomain } = authority;
    const nowMs = clock.wallMs();
    const who = { nodeId, subject: subjectKey(subject) };
    const endsMs = authorityEndsMs(authority);
    if (endsMs <= nowMs) return this.#refuse(who, 'not-ready', 'the certificate authority has expired', true);
    const leaf = issueCertificate(svidProfile({ trustDomain, subject, nodeId, nowMs, authorityEndsMs: endsMs }), to.request.spki, { certificate: authority.issuer, key: authority.key });
    const leafEndsMs = leaf.validToDate.getTime();
    const recoverUntilMs = leafEndsMs + recoveryMs;
    keeper.markUsed();
    nodes.put({ nodeId, subject: subjectKey(subject), serials: [leaf.serialNumber, ...(known?.serials ?? [])].slice(0, 2), issuedMs: nowMs, endsMs: leafEndsMs, recoverUntilMs, how, token, issuer: authority.roots[0] ? rootDigest(authority.roots[0].raw) : '' });
    try {
      await flush.done();
    } catch (error) {
      log.error('what was issued cannot be kept', { error: (error as Error).message });
      return this.#refuse(who, 'not-ready', 'the control plane cannot write its store', true);
    }
    this.#issued.set(how, (this.#issued.get(how) ?? 0) + 1);
    log.info('issued a certificate', { ...who, how, serial: leaf.serialNumber, ends: leaf.validToDate.toISOString() });
    return { kind: 'issued', leaf, trustDomain, recoverUntilMs, chain: [leaf, ...authority.intermediates].map(({ raw }) => raw), roots: authority.roots.map(({ raw }) => raw) };
  }

  #refuse(who: Readonly<Record<string, string>>, code: string, message: string, retry = false): EnrolmentRefusal {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
    this.#deps.log.warn('refused a certificate', { ...who, code, reason: message });
    return { kind: 'refused', code, message, retry };
  }
}

function isNodeId(text: string): boolean {
  return fitsCommonName(text) && /^[A-Za-z0-9._:-]+$/.test(text);
}
