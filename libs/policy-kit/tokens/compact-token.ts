import type { Json } from '@remora/core/canonical-json';
import { decodeBase64Url } from './base64url.ts';
import { signatureAlgorithms, type SignatureAlgorithm } from './signature-algorithm.ts';
import { parseStrictJsonBytes } from './strict-json.ts';
import { keyIdMax } from './verification-key.ts';

/** A signed JSON Web Token (RFC 7519) as it came: nothing of it is believed yet. */
export interface CompactToken {
  readonly algorithm: SignatureAlgorithm;
  readonly keyId: string | null;
  /** `typ` of the header, lower case and without `application/`; '' without one. */
  readonly type: string;
  /** Without a prototype. */
  readonly claims: Readonly<Record<string, Json>>;
  readonly signedBytes: Uint8Array;
  readonly signature: Uint8Array;
}

/** Why a text is no token that could be accepted. */
export interface TokenProblem {
  readonly problem: string;
  /** It does not even look like one: some other kind of token, perhaps. */
  readonly opaque: boolean;
}

/**
 * Reads a token in the compact serialization (RFC 7515 section 3.1), strictly: at most `tokenBytesMax`, three parts of canonical base64url, JSON without
 * members that come twice, a known algorithm. Refused are also keys that a token brings along, extensions (`crit`) and encryption.
 */
export function readCompactToken(text: string): CompactToken | TokenProblem {
  if (text.length > tokenBytesMax) return problem(`longer than ${tokenBytesMax} bytes`);
  const first = text.indexOf('.');
  const second = text.indexOf('.', first + 1);
  if (first < 0 || second < 0) return { problem: 'not three parts', opaque: true };
  if (text.includes('.', second + 1)) return problem(text.split('.').length === 5 ? 'encrypted' : 'not three parts');
  const headerBytes = decodeBase64Url(text.slice(0, first));
  const claimBytes = decodeBase64Url(text.slice(first + 1, second));
  const signature = decodeBase64Url(text.slice(second + 1));
  if (headerBytes === null || claimBytes === null || signature === null) return problem('not canonical base64url');
  const header = readHeader(parseStrictJsonBytes(headerBytes));
  if ('problem' in header) return header;
  if (signature.length === 0) return problem('not signed');
  const claims = parseStrictJsonBytes(claimBytes);
  if (!isObject(claims)) return problem('its claims are no JSON object, or name a member twice');
  return { ...header, claims, signedBytes: Buffer.from(text.slice(0, second), 'latin1'), signature };
}

function readHeader(header: Json | undefined): Pick<CompactToken, 'algorithm' | 'keyId' | 'type'> | TokenProblem {
  if (!isObject(header)) return problem('its header is no JSON object, or names a member twice');
  for (const name of refusedMembers) if (name in header) return problem(`its header has ${name}`);
  const { alg, kid, typ } = header;
  const algorithm = typeof alg === 'string' ? signatureAlgorithms.get(alg) : undefined;
  if (algorithm === undefined) return problem('signed with an algorithm that is not accepted');
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > keyIdMax)) return problem('its kid is no text of at most 256 characters');
  if (typ !== undefined && (typeof typ !== 'string' || typ.length > typeLengthMax)) return problem('its typ is no text');
  return { algorithm, keyId: kid ?? null, type: typ === undefined ? '' : plainType(typ) };
}

/** RFC 7515 section 4.1.9: `application/` may be left out; media types are in any case. */
export function plainType(type: string): string {
  const lower = type.toLowerCase();
  return lower.startsWith('application/') ? lower.slice('application/'.length) : lower;
}

function isObject(value: Json | undefined): value is Readonly<Record<string, Json>> & { readonly [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function problem(text: string): TokenProblem {
  return { problem: text, opaque: false };
}

/**
 * Keys and places of keys that the token itself brings (RFC 8725 sections 2.1 and 3.10), extensions that have to be understood (RFC 7515 section 4.1.11), payloads that
 * are not what they look like (RFC 7797), and encryption (RFC 7516).
 */
const refusedMembers = ['jwk', 'jku', 'x5u', 'x5c', 'crit', 'b64', 'enc', 'zip'] as const;
const typeLengthMax = 64;
export const tokenBytesMax = 8192;
