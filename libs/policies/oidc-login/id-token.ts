import { timingSafeEqual } from 'node:crypto';
import type { Json } from '@remora/core/canonical-json';
import type { CompactToken } from '@remora/policy-kit/tokens/compact-token';
import { publicKeyAlgorithms } from '@remora/policy-kit/tokens/signature-algorithm';

export interface IdTokenRules {
  readonly issuer: string;
  readonly clientId: string;
  /** null: of a refreshed session, which has none to compare. */
  readonly nonce: string | null;
  /** '': whoever it is. */
  readonly subject: string;
  readonly nowMs: number;
}

/** What is wrong with an ID token whose signature is still to be verified (OpenID Connect Core section 3.1.3.7); null: nothing. */
export function idTokenProblem({ claims, algorithm }: CompactToken, { issuer, clientId, nonce, subject, nowMs }: IdTokenRules): string | null {
  const { iss, aud, azp, sub, exp, iat, nbf } = claims;
  if (!publicKeyAlgorithms.includes(algorithm.name)) return `signed with ${algorithm.name}`;
  if (iss !== issuer) return 'iss is another issuer';
  const audiences = typeof aud === 'string' ? [aud] : Array.isArray(aud) ? aud : [];
  if (!audiences.includes(clientId)) return 'aud does not name this client';
  if (audiences.length > 1 && azp === undefined) return 'several audiences, and no azp';
  if (azp !== undefined && azp !== clientId) return 'azp is another client';
  if (typeof sub !== 'string' || sub === '' || sub.length > 255) return 'sub is no text of 255 characters at most';
  if (subject !== '' && sub !== subject) return 'sub is another user than before';
  if (typeof exp !== 'number' || nowMs >= exp * 1000 + leewayMs) return 'exp is over, or missing';
  if (typeof iat !== 'number' || nowMs < iat * 1000 - leewayMs) return 'iat has not come, or is missing';
  if (nbf !== undefined && (typeof nbf !== 'number' || nowMs < nbf * 1000 - leewayMs)) return 'nbf has not come';
  return nonce === null || sameText(claims['nonce'], nonce) ? null : 'nonce is of another login';
}

/** In a time that says nothing of where they differ. */
export function sameText(value: Json | undefined, wanted: string): boolean {
  if (typeof value !== 'string') return false;
  const [a, b] = [Buffer.from(value), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}

const leewayMs = 30_000;
