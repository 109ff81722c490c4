import { createHash, X509Certificate } from 'node:crypto';
import { decodeRevocations, isRevoked, revocationsKind, type RevocationFacts } from '@remora/identity/revocation-facts';
import { decodeTrustBundle, trustBundleKind } from '@remora/identity/trust-bundle-facts';
import { verifyChain, type ChainProblemCode, type TrustBundle } from '@remora/identity/verify-chain';
import { decodeWorkload, workloadFact } from '@remora/identity/workload-facts';
import type { FactBook, FactBooks } from '@remora/policy-kit/facts';
import { certificateFacts } from '@remora/identity/certificate-facts';
import { parseSpiffeId } from '@remora/identity/spiffe-id';
import { certificateNames } from './certificate-names.ts';
import { peerIdentity } from './peer-identity.ts';

/** This workload's own certificate, ready for OpenSSL. */
export interface OwnIdentity {
  readonly spiffeId: string;
  readonly trustDomain: string;
  /** PEM; leaf first, without roots. */
  readonly chain: string;
  readonly key: string;
  /** SHA-256 (hex) of the leaf. */
  readonly fingerprint: string;
  /** Unix milliseconds. */
  readonly endsMs: number;
  readonly intermediates: readonly X509Certificate[];
}

/** Who showed a certificate of the mesh, as far as it decides whether it still counts. */
export interface MeshPeer {
  readonly spiffeId: string;
  readonly trustDomain: string;
  readonly certificate: X509Certificate;
  readonly intermediates: readonly X509Certificate[];
  readonly commonName: string;
  /** When the first certificate of its chain ends, Unix milliseconds. */
  readonly endsMs: number;
}

export type PeerResult = { readonly ok: true; readonly peer: MeshPeer } | { readonly ok: false; readonly code: PeerProblemCode; readonly problem: string };
export type PeerProblemCode = ChainProblemCode | 'certificate-revoked' | 'no-identity';

export interface PeerQuestion {
  readonly certificate: X509Certificate;
  /** What the peer showed beside it; a resumed session shows the leaf alone. */
  readonly intermediates: readonly X509Certificate[];
  /** What it must be allowed to be. */
  readonly purpose: 'client' | 'server';
  readonly nowMs: number;
  /** Trust domains that are accepted beside the own one. */
  readonly trustDomains: readonly string[];
}

interface Bundle extends TrustBundle {
  readonly digest: string;
}

/**
 * What a data thread knows of the mesh's identities: its own, roots by trust domain, revocations. Reads the facts again when they have changed: `refresh`
 * answers whether they did. Nothing here waits or asks anybody.
 */
export class MeshIdentity {
  /** null: none has come. */
  own: OwnIdentity | null = null;
  /** Grows with each change. */
  version = 0;
  readonly #books: { readonly identity: FactBook; readonly bundles: FactBook; readonly revocations: FactBook };
  #seen = [-1, -1, -1];
  #bundles: ReadonlyMap<string, Bundle> = new Map();
  #revocations: ReadonlyMap<string, RevocationFacts> = new Map();
  #revocationsDigest = '';

  constructor(facts: FactBooks) {
    this.#books = { identity: facts.of(workloadFact.kind), bundles: facts.of(trustBundleKind), revocations: facts.of(revocationsKind) };
  }

  /** True: something changed since the last time. */
  refresh(): boolean {
    const { identity, bundles, revocations } = this.#books;
    const now = [identity.version, bundles.version, revocations.version];
    if (now.every((version, i) => version === this.#seen[i])) return false;
    this.#seen = now;
    this.own = readOwn(identity);
    this.#bundles = readBundles(bundles);
    this.#readRevocations(revocations);
    this.version++;
    return true;
  }

  /** Whether handshakes can be made: a certificate, and the roots of its own trust domain. */
  usable(nowMs: number): boolean {
    const { own } = this;
    return own !== null && own.endsMs > nowMs && this.#bundles.has(own.trustDomain);
  }

  /** PEM of the roots of the accepted trust domains. */
  roots(trustDomains: readonly string[]): string[] {
    return this.#accepted(trustDomains).flatMap(({ roots }) => roots.map((root) => root.toString()));
  }

  /**
   * Over everything that decides whether a session may be resumed: who we are, whom we believe, what is revoked (exchange.md section 4). '' without an
   * identity.
   */
  digest(trustDomains: readonly string[]): string {
    const { own } = this;
    if (own === null) return '';
    const bundles = this.#accepted(trustDomains).map(({ trustDomain, digest }) => `${trustDomain} ${digest}`);
    return createHash('sha256').update(JSON.stringify([own.spiffeId, own.fingerprint, bundles, this.#revocationsDigest])).digest('hex');
  }

  /** Of the roots of the own trust domain; '' without any. */
  get bundleDigest(): string {
    return this.#bundles.get(this.own?.trustDomain ?? '')?.digest ?? '';
  }

  /** Who the certificate stands for at this moment, or why it does not count. */
  verify({ certificate, intermediates, purpose, nowMs, trustDomains }: PeerQuestion): PeerResult {
    const { own } = this;
    if (own === null) return refused('no-identity', 'there is no identity of our own to verify others by');
    // Before anything is taken apart: a name with a NUL is not what it looks like.
    const names = certificateNames(certificate);
    if (typeof names === 'string') return refused('certificate-names', names);
    const domain = /^spiffe:\/\/([^/]*)/.exec(names.uris[0] ?? '')?.[1] ?? own.trustDomain;
    const bundle = domain === own.trustDomain || trustDomains.includes(domain) ? this.#bundles.get(domain) : undefined;
    if (bundle === undefined) return refused('trust-domain', `the certificate is of the trust domain ${domain.slice(0, 255)}, which is not accepted`);
    const checked = verifyChain({ leaf: certificate, intermediates: [...intermediates, ...own.intermediates], bundle, nowMs, purpose });
    if (!checked.ok) return checked;
    const peer: MeshPeer = {
      spiffeId: `spiffe://${checked.id.trustDomain}${checked.id.path}`, trustDomain: checked.id.trustDomain, certificate, intermediates, commonName: checked.commonName, endsMs: checked.endsMs,
    };
    return this.#isRevoked(peer) ? refused('certificate-revoked', `the certificate of ${peer.commonName} was revoked`) : { ok: true, peer };
  }

  /** As `verify`, but for the way to a root: of a session whose full handshake led there under the same roots. */
  verifyAlone({ certificate, nowMs, trustDomains }: Pick<PeerQuestion, 'certificate' | 'nowMs' | 'trustDomains'>): PeerResult {
    const read = peerIdentity(certificate, nowMs);
    const id = read.ok ? parseSpiffeId(read.principal) : null;
    if (!read.ok || id === null || !id.ok) return refused('certificate-names', read.ok ? 'the certificate has no SPIFFE id' : read.problem);
    const { trustDomain } = id.id;
    if (trustDomain !== this.own?.trustDomain && !trustDomains.includes(trustDomain)) return refused('trust-domain', `the certificate is of the trust domain ${trustDomain}, which is not accepted`);
    const peer: MeshPeer = { spiffeId: read.principal, trustDomain, certificate, intermediates: [], commonName: commonNameOf(certificate), endsMs: certificate.validToDate.getTime() };
    return this.#isRevoked(peer) ? refused('certificate-revoked', `the certificate of ${peer.commonName} was revoked`) : { ok: true, peer };
  }

  /** The same for somebody who was accepted before, by what is known now. */
  stillGood(peer: MeshPeer, purpose: 'client' | 'server', nowMs: number, trustDomains: readonly string[]): boolean {
    return this.verify({ certificate: peer.certificate, intermediates: peer.intermediates, purpose, nowMs, trustDomains }).ok;
  }

  #isRevoked({ trustDomain, spiffeId, certificate, commonName }: MeshPeer): boolean {
    const known = this.#revocations.get(trustDomain);
    if (known === undefined) return false;
    const subject = spiffeId.slice('spiffe://'.length + trustDomain.length + 1);
    return isRevoked(known, { serial: certificate.serialNumber, subject, nodeId: commonName, fromMs: certificate.validFromDate.getTime() });
  }

  #accepted(trustDomains: readonly string[]): Bundle[] {
    const names = new Set([this.own?.trustDomain ?? '', ...trustDomains]);
    return [...names].sort().flatMap((name) => this.#bundles.get(name) ?? []);
  }

  #readRevocations(book: FactBook): void {
    const found = new Map<string, RevocationFacts>();
    const hash = createHash('sha256');
    for (const name of [...book.names()].sort()) {
      const body = book.get(name);
      const read = body === undefined ? null : decodeRevocations(body);
      if (body === undefined || read === null) continue;
      found.set(read.trustDomain, read);
      hash.update(name).update(body);
    }
    this.#revocations = found;
    this.#revocationsDigest = hash.digest('hex');
  }
}

function readOwn(book: FactBook): OwnIdentity | null {
  const body = book.get(workloadFact.name);
  const facts = body === undefined ? null : decodeWorkload(body);
  if (facts === null) return null;
  try {
    const [leaf, ...intermediates] = facts.chain.map((raw) => new X509Certificate(raw));
    if (leaf === undefined) return null;
    return Object.freeze({
      spiffeId: facts.spiffeId, trustDomain: facts.trustDomain, chain: [leaf, ...intermediates].map((one) => one.toString()).join(''), key: pem('PRIVATE KEY', facts.key),
      fingerprint: fingerprintOf(leaf), endsMs: leaf.validToDate.getTime(), intermediates: Object.freeze(intermediates),
    });
  } catch {
    return null;
  }
}

function readBundles(book: FactBook): ReadonlyMap<string, Bundle> {
  const found = new Map<string, Bundle>();
  for (const name of book.names()) {
    const body = book.get(name);
    const read = body === undefined ? null : decodeTrustBundle(body);
    if (read === null || read.trustDomain !== name) continue;
    try {
      found.set(name, { trustDomain: name, roots: read.roots.map((raw) => new X509Certificate(raw)), digest: read.digest });
    } catch {
      // Not a certificate: nobody is believed by it.
    }
  }
  return found;
}

function commonNameOf(certificate: X509Certificate): string {
  const facts = certificateFacts(certificate);
  return typeof facts === 'string' ? '' : facts.commonName;
}

/** SHA-256 of the certificate, lower-case hexadecimal. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}

function pem(label: string, der: Uint8Array): string {
  const text = Buffer.from(der).toString('base64').replaceAll(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ${label}-----\n${text}\n-----END ${label}-----\n`;
}

function refused(code: PeerProblemCode, problem: string): PeerResult & { readonly ok: false } {
  return { ok: false, code, problem };
}
