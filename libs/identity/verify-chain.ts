import type { X509Certificate } from 'node:crypto';
import { certificateFacts, keyUsageBits } from './certificate-facts.ts';
import type { CertificateFacts } from './certificate-facts.ts';
import { oids } from './oids.ts';
import { formatSpiffeId, parseSpiffeId } from './spiffe-id.ts';
import type { SpiffeId } from './spiffe-id.ts';

/** The roots of one trust domain: several while they roll. */
export interface TrustBundle {
  readonly trustDomain: string;
  readonly roots: readonly X509Certificate[];
}

/** Codes are stable: they are counted and answered. */
export type ChainProblemCode =
  | 'certificate-expired'
  | 'certificate-early'
  | 'certificate-usage'
  | 'certificate-authority'
  | 'certificate-names'
  | 'certificate-unreadable'
  | 'certificate-untrusted'
  | 'trust-domain';

export type ChainResult =
  /** `endsMs`: when the first certificate of the path ends. */
  | { readonly ok: true; readonly id: SpiffeId; readonly commonName: string; readonly root: X509Certificate; readonly endsMs: number }
  | { readonly ok: false; readonly code: ChainProblemCode; readonly problem: string };

export interface ChainQuestion {
  readonly leaf: X509Certificate;
  /** What may stand between, in any order; a peer may send what does not belong there. */
  readonly intermediates: readonly X509Certificate[];
  readonly bundle: TrustBundle;
  readonly nowMs: number;
  readonly purpose: 'client' | 'server';
  /** How long ago the leaf, and only the leaf, may have ended: for coming back after a long sleep. Default 0. */
  readonly expiredForMaxMs?: number;
}

const intermediatesMax = 4;

/**
 * Verifies an X.509-SVID against the roots of its trust domain: path, signatures, times, usages and names (RFC 5280 section 6 as
 * far as our profiles go; the X.509-SVID standard, sections 4 and 5). Answers who it is, or what is wrong in one sentence.
 */
export function verifyChain(question: ChainQuestion): ChainResult {
  const { leaf, bundle, nowMs } = question;
  const facts = certificateFacts(leaf);
  if (typeof facts === 'string') return refused('certificate-unreadable', `the certificate cannot be read: ${facts}`);
  const named = leafId(facts);
  if (!('id' in named)) return named;
  if (named.id.trustDomain !== bundle.trustDomain) return refused('trust-domain', `the certificate is of the trust domain ${named.id.trustDomain}, trusted is ${bundle.trustDomain}`);
  const misuse = leafMisuse(facts, question.purpose);
  if (misuse) return misuse;
  const times = timeProblem(leaf, nowMs, 'the certificate', question.expiredForMaxMs ?? 0);
  if (times) return times;
  return climb(question, named.id, facts.commonName);
}

function leafId(facts: CertificateFacts): { readonly id: SpiffeId } | (ChainResult & { readonly ok: false }) {
  const [uri] = facts.uris;
  if (facts.uris.length !== 1 || uri === undefined) return refused('certificate-names', `the certificate has ${facts.uris.length} URI names; a SPIFFE certificate has exactly one`);
  const parsed = parseSpiffeId(uri);
  if (!parsed.ok) return refused('certificate-names', `the SPIFFE id of the certificate ${parsed.problem}`);
  if (parsed.id.path === '') return refused('certificate-names', `the certificate has the SPIFFE id ${formatSpiffeId(parsed.id)}, which is no workload's`);
  return { id: parsed.id };
}

/** X.509-SVID standard, sections 4.1 to 4.4. */
function leafMisuse({ isAuthority, keyUsage, extendedUsages }: CertificateFacts, purpose: ChainQuestion['purpose']): (ChainResult & { readonly ok: false }) | null {
  if (isAuthority) return refused('certificate-authority', 'the certificate is that of an authority, which is nobody\'s own');
  if (keyUsage === null || (keyUsage & keyUsageBits.digitalSignature) === 0) return refused('certificate-usage', 'the key usage of the certificate does not allow handshakes (digitalSignature)');
  if (keyUsage & (keyUsageBits.keyCertSign | keyUsageBits.crlSign)) return refused('certificate-authority', 'the key usage of the certificate allows to sign others');
  const wanted = purpose === 'client' ? oids.clientAuth : oids.serverAuth;
  if (extendedUsages !== null && !extendedUsages.includes(wanted)) return refused('certificate-usage', `the extended key usage of the certificate does not allow to be a ${purpose}`);
  return null;
}

/** Depth first from the leaf; what went wrong on the way is told where no root is reached. */
function climb({ leaf, intermediates, bundle, nowMs }: ChainQuestion, id: SpiffeId, commonName: string): ChainResult {
  let trouble: (ChainResult & { readonly ok: false }) | null = null;
  const step = (current: X509Certificate, below: number, endsMs: number): ChainResult | null => {
    for (const root of bundle.roots) {
      if (!issued(root, current)) continue;
      const problem = authorityProblem(root, below, nowMs, 'the root');
      if (!problem) return { ok: true, id, commonName, root, endsMs: Math.min(endsMs, root.validToDate.getTime()) };
      trouble ??= problem;
    }
    if (below >= intermediatesMax) return null;
    for (const next of intermediates.slice(0, 16)) {
      if (next.fingerprint256 === current.fingerprint256 || !issued(next, current)) continue;
      const problem = authorityProblem(next, below, nowMs, 'an intermediate authority');
      trouble ??= problem;
      const found = problem ? null : step(next, below + 1, Math.min(endsMs, next.validToDate.getTime()));
      if (found) return found;
    }
    return null;
  };
  const untrusted = refused('certificate-untrusted', `the certificate (issued by ${JSON.stringify(leaf.issuer.slice(0, 100))}) leads to none of the ${bundle.roots.length} roots of the trust domain ${bundle.trustDomain}`);
  return step(leaf, 0, leaf.validToDate.getTime()) ?? trouble ?? untrusted;
}

/** Names and key ids fit, and the signature holds. */
function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function authorityProblem(certificate: X509Certificate, below: number, nowMs: number, what: string): (ChainResult & { readonly ok: false }) | null {
  const facts = certificateFacts(certificate);
  if (typeof facts === 'string') return refused('certificate-unreadable', `${what} cannot be read: ${facts}`);
  const maySign = facts.isAuthority && (facts.keyUsage === null || (facts.keyUsage & keyUsageBits.keyCertSign) !== 0);
  if (!maySign) return refused('certificate-authority', `${what} may not sign certificates`);
  if (facts.pathLength !== null && below > facts.pathLength) return refused('certificate-authority', `${what} allows ${facts.pathLength} authorities below it, and there are ${below}`);
  return timeProblem(certificate, nowMs, what, 0);
}

function timeProblem(certificate: X509Certificate, nowMs: number, what: string, expiredForMaxMs: number): (ChainResult & { readonly ok: false }) | null {
  const endMs = certificate.validToDate.getTime();
  if (certificate.validFromDate.getTime() > nowMs) return refused('certificate-early', `${what} is not valid before ${certificate.validFromDate.toISOString()}; is a clock wrong?`);
  if (endMs + expiredForMaxMs <= nowMs) return refused('certificate-expired', `${what} expired at ${certificate.validToDate.toISOString()}`);
  return null;
}

function refused(code: ChainProblemCode, problem: string): ChainResult & { readonly ok: false } {
  return { ok: false, code, problem };
}
