import type { Json } from '@remora/core/canonical-json';
import { signatureAlgorithms, type SignatureAlgorithm } from './signature-algorithm.ts';
import { readPublicJwk, type VerificationKey } from './verification-key.ts';

/** Keys of one issuer. Another object when they have changed: what was verified with the ones before is looked at again. */
export class KeySet {
  readonly keys: readonly VerificationKey[];

  constructor(keys: readonly VerificationKey[]) {
    this.keys = keys;
  }

  /** Keys that a token with this header may be signed with, at most `candidatesMax`: those of its `kid`; without one, all that fit the algorithm. */
  candidates(algorithm: SignatureAlgorithm, keyId: string | null): readonly VerificationKey[] {
    const found: VerificationKey[] = [];
    for (const key of this.keys) {
      if (!key.fits(algorithm) || (keyId !== null && key.keyId !== keyId)) continue;
      found.push(key);
      if (found.length === candidatesMax) break;
    }
    return found;
  }
}

/**
 * The keys of a JSON Web Key Set (RFC 7517 section 5) that verify something; those that do not are left out and named in `left`. Text: why it is no such set.
 * A set without any usable key is one: who replaces keys by it decides what that means.
 */
export function readKeySet(json: Json | undefined): { readonly set: KeySet; readonly left: readonly string[] } | string {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return 'not a JSON object';
  const { keys } = json as Readonly<Record<string, Json>>;
  if (!Array.isArray(keys)) return 'keys is no list';
  if (keys.length > keysMax) return `${keys.length} keys, at most ${keysMax} are accepted`;
  const left: string[] = [];
  const usable: VerificationKey[] = [];
  keys.forEach((jwk: Json, i: number) => {
    const key = readPublicJwk(jwk);
    if (typeof key === 'string') left.push(`key ${i}: ${key}`);
    else usable.push(key);
  });
  return { set: new KeySet(usable), left };
}

/** Whether some key of the set can be used with one of these algorithms. */
export function canVerify(set: KeySet, algorithms: readonly string[]): boolean {
  return algorithms.some((name) => {
    const algorithm = signatureAlgorithms.get(name);
    return algorithm !== undefined && set.keys.some((key) => key.fits(algorithm));
  });
}

/** Keys of one issuer. */
export const keysMax = 128;
/** Keys that are tried for one token. */
export const candidatesMax = 4;
