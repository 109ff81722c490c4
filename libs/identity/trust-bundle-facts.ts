import { createHash } from 'node:crypto';
import { isTrustDomain } from './trust-domain.ts';
import { base64, isTexts, readJson } from './workload-facts.ts';

/**
 * The roots of one trust domain that count now, as they travel: item of the state lane and fact, kind `trustBundle`, name the trust domain. Several roots
 * while they roll. `digest` names the roots, in whatever order: what is derived from a bundle (keys of session tickets) is derived from it.
 */
export interface TrustBundleFacts {
  readonly trustDomain: string;
  /** DER, 1 to 16. */
  readonly roots: readonly Uint8Array[];
  /** SHA-256 (hex) over the roots. */
  readonly digest: string;
  /** Grows with each change of the bundle. */
  readonly sequence: number;
  /** SHA-256 (hex) of the root under which certificates are issued now: who has one of another root renews it. '' where that is not said. */
  readonly signs: string;
  /** Over which time those renewals are spread. */
  readonly renewWithinMs: number;
}

/** Where a bundle does not say: ten minutes. */
export const renewWithinDefaultMs = 600_000;

export const trustBundleKind = 'trustBundle';
export const rootsMax = 16;
const bytesMax = 256 * 1024;

/** Over the sorted digests of the roots. */
export function bundleDigest(roots: readonly Uint8Array[]): string {
  const digests = roots.map((root) => rootDigest(root)).sort();
  return createHash('sha256').update(digests.join('\n')).digest('hex');
}

export function encodeTrustBundle(bundle: Omit<TrustBundleFacts, 'digest' | 'signs' | 'renewWithinMs'> & Partial<TrustBundleFacts>): Uint8Array {
  const { trustDomain, roots, sequence, signs = '', renewWithinMs = renewWithinDefaultMs } = bundle;
  return Buffer.from(JSON.stringify({ trustDomain, roots: roots.map((root) => base64(root)), digest: bundleDigest(roots), sequence, signs, renewWithinMs }));
}

/** What a root is named by in a bundle: SHA-256 (hex) of its DER. */
export function rootDigest(root: Uint8Array): string {
  return createHash('sha256').update(root).digest('hex');
}

/** null where it cannot be read, has no roots or too many, or the digest is not theirs. */
export function decodeTrustBundle(body: Uint8Array): TrustBundleFacts | null {
  const read = readJson(body, bytesMax);
  if (read === null) return null;
  const { trustDomain, roots: texts, digest, sequence, signs = '', renewWithinMs = renewWithinDefaultMs } = read;
  if (typeof trustDomain !== 'string' || !isTrustDomain(trustDomain) || !isTexts(texts) || texts.length === 0 || texts.length > rootsMax) return null;
  if (!isCount(sequence) || !isCount(renewWithinMs) || typeof signs !== 'string') return null;
  const roots = texts.map((text) => Buffer.from(text, 'base64'));
  return digest === bundleDigest(roots) ? { trustDomain, roots, digest, sequence, signs, renewWithinMs } : null;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
