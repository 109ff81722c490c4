import { createPublicKey, generateKeyPairSync, type X509Certificate } from 'node:crypto';
import { rootProfile, svidProfile, type CertificateProfile } from '@remora/identity/certificate-profile';
import { issueCertificate } from '@remora/identity/issue-certificate';
import { certificatePin, type JoinToken } from '@remora/identity/join-token';
import { certificatePem } from '@remora/identity/pem';
import { readCertificateRequest } from '@remora/identity/read-certificate-request';
import { isRenewalProof } from '@remora/identity/renewal-proof';
import { subjectOfSpiffeId, parseSpiffeId } from '@remora/identity/spiffe-id';
import { bundleDigest, rootDigest, type TrustBundleFacts } from '@remora/identity/trust-bundle-facts';
import type { Clock } from '@remora/core/clock';
import type { EnrolmentOutcome, EnrolmentPort } from '../enrolment-port.ts';
import type { IdentityDisk, StoredIdentity } from '../identity-disk.ts';

export const dayMs = 86_400_000;

/** An authority in memory that issues to everybody who proves a key; a test says when it does not. */
export class MemoryEnrolment implements EnrolmentPort {
  readonly trustDomain = 'shop.example';
  /** The one that signs, and all that count. */
  root: X509Certificate;
  roots: readonly X509Certificate[];
  readonly token: JoinToken;
  /** `join`, `renew`, in the order of the calls. */
  readonly asked: string[] = [];
  /** Public keys of joins. */
  readonly keys = new Set<string>();
  /** Answered instead of a certificate. */
  next: EnrolmentOutcome | null = null;
  /** What is put in place of the issued outcome. */
  change: (issued: EnrolmentOutcome) => EnrolmentOutcome = (issued) => issued;
  readonly #clock: Clock;
  #key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.root = this.#newRoot();
    this.roots = [this.root];
    this.token = { id: 'aaaaaaaaaaaa', secret: 'PLANTED'.padEnd(43, 'x'), pin: certificatePin(this.root.raw), trustDomain: this.trustDomain };
  }

  /** Another root signs from now on; the ones before count on. */
  roll(): void {
    this.#key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    this.root = this.#newRoot();
    this.roots = [this.root, ...this.roots];
  }

  /** The bundle as the control plane would say it. */
  bundle(change: Partial<TrustBundleFacts> = {}): TrustBundleFacts {
    const roots = this.roots.map(({ raw }) => raw);
    return { trustDomain: this.trustDomain, roots, digest: bundleDigest(roots), sequence: roots.length, signs: rootDigest(this.root.raw), renewWithinMs: 600_000, ...change };
  }

  /** PEM of a server: of the control plane, or of whoever the profile says. */
  server(profile: CertificateProfile): { readonly key: Buffer; readonly chain: Buffer; readonly root: Buffer } {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const leaf = issueCertificate(profile, publicKey.export({ type: 'spki', format: 'der' }), { certificate: this.root, key: this.#key });
    return { key: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })), chain: Buffer.from(certificatePem(leaf.raw)), root: Buffer.from(certificatePem(this.root.raw)) };
  }

  async join({ nodeId, request }: Parameters<EnrolmentPort['join']>[0]): Promise<EnrolmentOutcome> {
    this.asked.push('join');
    const read = readCertificateRequest(request);
    if (read.ok) this.keys.add(read.request.spki.toString('hex'));
    return this.next ?? this.#issue(request, nodeId);
  }

  async renew({ chain, request, proof }: Parameters<EnrolmentPort['renew']>[0]): Promise<EnrolmentOutcome> {
    this.asked.push('renew');
    const [leaf] = chain;
    if (!leaf || !isRenewalProof(request, proof, leaf.publicKey)) return { kind: 'refused', code: 'key-proof', message: 'no proof', retry: false };
    const read = readCertificateRequest(request);
    return this.next ?? this.#issue(request, read.ok ? read.request.commonName : '');
  }

  #newRoot(): X509Certificate {
    return issueCertificate(rootProfile({ trustDomain: this.trustDomain, nowMs: this.#clock.wallMs() }), createPublicKey(this.#key).export({ type: 'spki', format: 'der' }), { certificate: null, key: this.#key });
  }

  #issue(bytes: Uint8Array, nodeId: string): EnrolmentOutcome {
    const read = readCertificateRequest(bytes);
    const id = read.ok ? parseSpiffeId(read.request.uris[0] ?? '') : null;
    const subject = id?.ok ? subjectOfSpiffeId(id.id) : null;
    if (!read.ok || !subject) return { kind: 'refused', code: 'bad-request', message: 'x', retry: false };
    const leaf = issueCertificate(svidProfile({ trustDomain: this.trustDomain, subject, nodeId, nowMs: this.#clock.wallMs(), authorityEndsMs: this.root.validToDate.getTime() }), read.request.spki, { certificate: this.root, key: this.#key });
    return this.change({ kind: 'issued', chain: [leaf.raw], roots: this.roots.map(({ raw }) => raw), trustDomain: this.trustDomain, recoverUntilMs: leaf.validToDate.getTime() + 30 * dayMs });
  }
}

export class MemoryIdentityDisk implements IdentityDisk {
  stored: StoredIdentity = { held: null, joining: null };
  problem = '';
  broken = false;

  async load(): Promise<{ readonly stored: StoredIdentity; readonly problem: string }> {
    return { stored: this.stored, problem: this.problem };
  }

  async write(stored: StoredIdentity): Promise<void> {
    if (this.broken) throw new Error('ENOSPC');
    this.stored = stored;
  }
}
