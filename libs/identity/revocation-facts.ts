import { backdateMs } from './certificate-profile.ts';
import { isTexts, readJson } from './workload-facts.ts';

/**
 * What is revoked in one trust domain: item of the state lane and fact, kind `revocations`, name the trust domain. Entries go when the certificates that they
 * are about have ended.
 */
export interface RevocationFacts {
  readonly trustDomain: string;
  /** Serial numbers as Node's `X509Certificate.serialNumber` writes them: hexadecimal, upper case. */
  readonly serials: ReadonlySet<string>;
  /** By `subject/nodeId`, e.g. `service/orders/orders-1`, or `service/orders/` for every instance: everything issued until then (Unix ms) is revoked. */
  readonly issuedUntilMs: ReadonlyMap<string, number>;
}

/** What of a certificate decides. */
export interface RevocationQuestion {
  readonly serial: string;
  /** `service/orders`: the path of its SPIFFE id without the leading slash. */
  readonly subject: string;
  /** Its common name. */
  readonly nodeId: string;
  /** `validFrom` of the certificate. */
  readonly fromMs: number;
}

export const revocationsKind = 'revocations';
/** Entries in one item. */
export const revokedMax = 1_000;
const bytesMax = 256 * 1024;

/**
 * Whether a certificate is revoked. Instances are revoked up to a moment, not by serial number: who holds a stolen key may have renewed it often. A certificate
 * that the instance gets later, for a new join token, is good.
 */
export function isRevoked({ serials, issuedUntilMs }: RevocationFacts, { serial, subject, nodeId, fromMs }: RevocationQuestion): boolean {
  if (serials.has(serial)) return true;
  const issuedMs = fromMs + backdateMs;
  return issuedMs <= (issuedUntilMs.get(`${subject}/${nodeId}`) ?? -1) || issuedMs <= (issuedUntilMs.get(`${subject}/`) ?? -1);
}

export function encodeRevocations({ trustDomain, serials, issuedUntilMs }: RevocationFacts): Uint8Array {
  return Buffer.from(JSON.stringify({ trustDomain, serials: [...serials].sort(), issuedUntilMs: [...issuedUntilMs].sort(([a], [b]) => (a < b ? -1 : 1)) }));
}

/** null where it cannot be read. */
export function decodeRevocations(body: Uint8Array): RevocationFacts | null {
  const read = readJson(body, bytesMax);
  if (read === null) return null;
  const { trustDomain, serials, issuedUntilMs } = read;
  if (typeof trustDomain !== 'string' || !isTexts(serials) || !isMoments(issuedUntilMs) || serials.length + issuedUntilMs.length > revokedMax) return null;
  return { trustDomain, serials: new Set(serials.map((serial) => serial.toUpperCase())), issuedUntilMs: new Map(issuedUntilMs) };
}

function isMoments(value: unknown): value is readonly (readonly [string, number])[] {
  return Array.isArray(value) && value.every((one: unknown) => Array.isArray(one) && one.length === 2 && typeof one[0] === 'string' && Number.isSafeInteger(one[1]));
}
