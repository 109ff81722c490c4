import { verify, type X509Certificate } from 'node:crypto';
import { certificateFacts, keyUsageBits } from './certificate-facts.ts';
import { authorityKeyId, nameHash, serialText } from './certificate-issuer.ts';
import { DerError, DerReader, derTag, oidText } from './der-reader.ts';
import { oids } from './oids.ts';

/** A list of revoked certificates (RFC 5280 section 5) whose signature holds. */
export interface RevocationList {
  /** Whose list it is. */
  readonly issuer: X509Certificate;
  /** SHA-256 of the issuer's Name as encoded, hexadecimal. */
  readonly issuerHash: string;
  /** Hexadecimal; '' where the issuer's certificate does not name its key. */
  readonly issuerKeyId: string;
  /** Unix milliseconds. */
  readonly fromMs: number;
  /** `nextUpdate`: from then on the list says nothing any more. */
  readonly endsMs: number;
  /** 40 hexadecimal digits each, sorted, each once. */
  readonly serials: readonly string[];
}

export type RevocationListResult =
  | { readonly ok: true; readonly list: RevocationList }
  /** `problem` goes on from the name of the file: `is signed by …`. */
  | { readonly ok: false; readonly code: 'invalid-crl' | 'untrusted-crl'; readonly problem: string };

/** Certificates in one list. */
export const listedMax = 200_000;

/**
 * Reads a list in DER and verifies it against the authorities. What is partial (delta lists, indirect ones, those of one distribution point) is refused:
 * who is not on it may be revoked all the same. Any bytes give an answer.
 */
export function readRevocationList(bytes: Uint8Array, authorities: readonly X509Certificate[]): RevocationListResult {
  try {
    return judge(parse(bytes), authorities);
  } catch (error) {
    if (error instanceof DerError) return { ok: false, code: 'invalid-crl', problem: `holds a list that cannot be read: ${error.message}` };
    throw error;
  }
}

interface ParsedList {
  /** What is signed. */
  readonly signed: Uint8Array;
  readonly algorithm: string;
  readonly signature: Uint8Array;
  readonly issuerName: Uint8Array;
  readonly keyId: string;
  readonly fromMs: number;
  readonly endsMs: number;
  readonly serials: readonly string[];
}

function parse(bytes: Uint8Array): ParsedList {
  const outer = new DerReader(bytes);
  const parts = new DerReader(outer.next(derTag.sequence, 'the list').content);
  outer.end('the list');
  const signed = parts.next(derTag.sequence, 'its content');
  const algorithm = parts.next(derTag.sequence, 'its signature algorithm');
  const bits = parts.next(derTag.bits, 'its signature').content;
  parts.end('its signature');
  if (bits[0] !== 0) throw new DerError('its signature is not whole bytes');
  const body = new DerReader(signed.content);
  body.optional(derTag.integer, 'its version');
  const inner = body.next(derTag.sequence, 'its signature algorithm').whole;
  if (Buffer.compare(inner, algorithm.whole) !== 0) throw new DerError('it names two signature algorithms');
  const issuerName = body.next(derTag.sequence, 'its issuer').whole;
  const fromMs = readTime(body, 'thisUpdate');
  const endsMs = readTime(body, 'nextUpdate');
  const serials = readSerials(body.optional(derTag.sequence, 'the certificates')?.content ?? new Uint8Array());
  const wrapped = body.optional(0xa0, 'its extensions');
  body.end('its content');
  const keyId = wrapped === null ? '' : readExtensions(new DerReader(wrapped.content).next(derTag.sequence, 'its extensions').content, 'it');
  return { signed: signed.whole, algorithm: oidText(new DerReader(algorithm.content).next(derTag.oid, 'its signature algorithm').content), signature: bits.subarray(1), issuerName, keyId, fromMs, endsMs, serials };
}

function readSerials(bytes: Uint8Array): string[] {
  const serials = new Set<string>();
  for (const list = new DerReader(bytes); !list.over;) {
    const entry = new DerReader(list.next(derTag.sequence, 'a revoked certificate').content);
    const serial = serialText(entry.next(derTag.integer, 'a serial number').content);
    if (serial === '') throw new DerError('a serial number has more than 20 bytes');
    entry.any('the time of a revocation');
    const extensions = entry.optional(derTag.sequence, 'the extensions of an entry');
    entry.end('an entry');
    if (extensions !== null) readExtensions(extensions.content, 'an entry');
    serials.add(serial);
    if (serials.size > listedMax) throw new DerError(`it has more than ${listedMax} certificates`);
  }
  return [...serials].sort();
}

/** The key id that it names, '' without one. What is critical changes what the list means (section 5.2): understood is none of it. */
function readExtensions(bytes: Uint8Array, what: string): string {
  let keyId = '';
  for (const list = new DerReader(bytes); !list.over;) {
    const extension = new DerReader(list.next(derTag.sequence, 'an extension').content);
    const type = oidText(extension.next(derTag.oid, 'the type of an extension').content);
    const critical = extension.optional(derTag.boolean, 'the mark of an extension')?.content[0] === 0xff;
    const value = extension.next(derTag.octets, 'the value of an extension').content;
    if (type === oids.authorityKeyId) keyId = authorityKeyId(value);
    else if (critical) throw new DerError(`${what} has the critical extension ${type}${partial.get(type) ?? ''}, which is not understood here`);
  }
  return keyId;
}

const partial: ReadonlyMap<string, string> = new Map([['2.5.29.27', ' (a delta list)'], ['2.5.29.28', ' (a list of one distribution point)'], ['2.5.29.29', ' (an indirect list)']]);

/** UTCTime until 2049, GeneralizedTime after it (section 5.1.2.4). */
function readTime(body: DerReader, what: string): number {
  const value = body.over ? null : body.any(what);
  if (value === null || (value.tag !== 0x17 && value.tag !== 0x18)) throw new DerError(`it has no ${what}`);
  const text = Buffer.from(value.content).toString('latin1');
  const long = value.tag === 0x18 ? text : `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}`;
  const digits = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(long);
  const ms = digits === null ? Number.NaN : Date.parse(`${digits[1]}-${digits[2]}-${digits[3]}T${digits[4]}:${digits[5]}:${digits[6]}Z`);
  if (Number.isNaN(ms)) throw new DerError(`${what} is not a time`);
  return ms;
}

function judge(list: ParsedList, authorities: readonly X509Certificate[]): RevocationListResult {
  const digest = digests.get(list.algorithm);
  if (digest === undefined) return { ok: false, code: 'untrusted-crl', problem: `holds a list with a signature that is not accepted here (${list.algorithm})` };
  for (const issuer of authorities) {
    const facts = certificateFacts(issuer);
    if (typeof facts === 'string' || !facts.isAuthority || Buffer.compare(facts.subjectName, list.issuerName) !== 0) continue;
    if (facts.keyUsage !== null && (facts.keyUsage & keyUsageBits.crlSign) === 0) continue;
    const issuerKeyId = Buffer.from(facts.subjectKeyId ?? new Uint8Array()).toString('hex');
    if (list.keyId !== '' && issuerKeyId !== '' && list.keyId !== issuerKeyId) continue;
    if (!signedBy(list, issuer, digest)) continue;
    return { ok: true, list: { issuer, issuerHash: nameHash(list.issuerName), issuerKeyId, fromMs: list.fromMs, endsMs: list.endsMs, serials: list.serials } };
  }
  return { ok: false, code: 'untrusted-crl', problem: 'holds a list that none of the authorities of clientCaFiles has signed, or may sign (key usage cRLSign)' };
}

function signedBy({ signed, signature }: ParsedList, { publicKey }: X509Certificate, { type, hash }: { readonly type: string; readonly hash: string | null }): boolean {
  if (publicKey.asymmetricKeyType !== type) return false;
  try {
    return verify(hash, signed, publicKey, signature);
  } catch {
    // OpenSSL throws for signatures of a shape that no key makes.
    return false;
  }
}

/** By object identifier of the signature (RFC 4055, 5758, 8410). */
const digests: ReadonlyMap<string, { readonly type: string; readonly hash: string | null }> = new Map([
  ['1.2.840.10045.4.3.2', { type: 'ec', hash: 'sha256' }], ['1.2.840.10045.4.3.3', { type: 'ec', hash: 'sha384' }], ['1.2.840.10045.4.3.4', { type: 'ec', hash: 'sha512' }],
  ['1.2.840.113549.1.1.11', { type: 'rsa', hash: 'sha256' }], ['1.2.840.113549.1.1.12', { type: 'rsa', hash: 'sha384' }], ['1.2.840.113549.1.1.13', { type: 'rsa', hash: 'sha512' }],
  ['1.3.101.112', { type: 'ed25519', hash: null }],
]);
