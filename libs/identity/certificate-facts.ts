import type { X509Certificate } from 'node:crypto';
import { DerError, DerReader, derTag, oidText } from './der-reader.ts';
import { oids } from './oids.ts';

/** What Node's X509Certificate does not tell about a certificate: the extensions that say what it may be used for (RFC 5280 section 4.2). */
export interface CertificateFacts {
  readonly commonName: string;
  /** The whole Name of the subject, as encoded. */
  readonly subjectName: Uint8Array;
  /** What the certificate calls its key; null where the extension is missing. */
  readonly subjectKeyId: Uint8Array | null;
  /** URI names, as they are written. */
  readonly uris: readonly string[];
  /** DNS names and addresses are there too. */
  readonly otherNames: number;
  readonly isAuthority: boolean;
  /** How many authorities may stand below; null for any number. */
  readonly pathLength: number | null;
  /** Bits of key usage, the first bit of the standard is the highest of the first byte; null where the extension is missing. */
  readonly keyUsage: number | null;
  /** Object identifiers; null where the extension is missing. */
  readonly extendedUsages: readonly string[] | null;
}

/** RFC 5280 section 4.2.1.3. */
export const keyUsageBits = { digitalSignature: 0x8000, keyCertSign: 0x0400, crlSign: 0x0200 } as const;

/** Critical extensions that are understood here; any other one refuses the certificate (RFC 5280 section 4.2). */
const understood: ReadonlySet<string> = new Set([oids.basicConstraints, oids.keyUsage, oids.extendedKeyUsage, oids.subjectAltName, oids.subjectKeyId, oids.authorityKeyId]);

/** Facts, or a sentence on what is wrong with the certificate. */
export function certificateFacts(certificate: Pick<X509Certificate, 'raw'>): CertificateFacts | string {
  try {
    return readFacts(certificate.raw);
  } catch (error) {
    if (error instanceof DerError) return error.message;
    throw error;
  }
}

interface MutableFacts {
  commonName: string;
  subjectName: Uint8Array;
  subjectKeyId: Uint8Array | null;
  uris: string[];
  otherNames: number;
  isAuthority: boolean;
  pathLength: number | null;
  keyUsage: number | null;
  extendedUsages: string[] | null;
}

function readFacts(raw: Uint8Array): CertificateFacts {
  const facts: MutableFacts = { commonName: '', subjectName: new Uint8Array(), subjectKeyId: null, uris: [], otherNames: 0, isAuthority: false, pathLength: null, keyUsage: null, extendedUsages: null };
  const certificate = new DerReader(new DerReader(raw).next(derTag.sequence, 'the certificate').content);
  const body = new DerReader(certificate.next(derTag.sequence, 'the body of the certificate').content);
  body.optional(0xa0, 'the version');
  body.next(derTag.integer, 'the serial number');
  body.next(derTag.sequence, 'the signature algorithm');
  body.next(derTag.sequence, 'the issuer');
  body.next(derTag.sequence, 'the validity');
  const subject = body.next(derTag.sequence, 'the subject');
  facts.subjectName = subject.whole;
  facts.commonName = readCommonName(subject.content);
  body.next(derTag.sequence, 'the public key');
  body.optional(0x81, 'the issuer id');
  body.optional(0x82, 'the subject id');
  const wrapped = body.optional(0xa3, 'the extensions');
  if (wrapped) readExtensions(new DerReader(wrapped.content).next(derTag.sequence, 'the extensions').content, facts);
  return facts;
}

/** Of a Name (RFC 5280 section 4.1.2.4): the first common name, '' where there is none. */
export function readCommonName(name: Uint8Array): string {
  for (const names = new DerReader(name); !names.over;) {
    const set = new DerReader(names.next(derTag.set, 'a part of the subject').content);
    const pair = new DerReader(set.next(derTag.sequence, 'a part of the subject').content);
    const type = oidText(pair.next(derTag.oid, 'the type of a part of the subject').content);
    const value = pair.any('a part of the subject');
    if (type === oids.commonName) return Buffer.from(value.content).toString('utf8');
  }
  return '';
}

function readExtensions(bytes: Uint8Array, facts: MutableFacts): void {
  const seen = new Set<string>();
  for (const list = new DerReader(bytes); !list.over;) {
    const extension = new DerReader(list.next(derTag.sequence, 'an extension').content);
    const type = oidText(extension.next(derTag.oid, 'the type of an extension').content);
    const critical = extension.optional(derTag.boolean, 'the mark of an extension');
    const value = extension.next(derTag.octets, 'the value of an extension').content;
    if (seen.has(type)) throw new DerError(`it has the extension ${type} twice`);
    seen.add(type);
    if (critical?.content[0] === 0xff && !understood.has(type)) throw new DerError(`it has the critical extension ${type}, which is not understood here`);
    readExtension(type, value, facts);
  }
}

function readExtension(type: string, value: Uint8Array, facts: MutableFacts): void {
  if (type === oids.basicConstraints) readConstraints(value, facts);
  else if (type === oids.subjectAltName) readAltNames(value, facts);
  else if (type === oids.subjectKeyId) facts.subjectKeyId = new DerReader(value).next(derTag.octets, 'the key id').content;
  else if (type === oids.keyUsage) facts.keyUsage = readBits(new DerReader(value).next(derTag.bits, 'key usage').content);
  else if (type === oids.extendedKeyUsage) {
    facts.extendedUsages = [];
    for (const list = new DerReader(new DerReader(value).next(derTag.sequence, 'extended key usage').content); !list.over;) {
      facts.extendedUsages.push(oidText(list.next(derTag.oid, 'an extended key usage').content));
    }
  }
}

function readConstraints(value: Uint8Array, facts: MutableFacts): void {
  const constraints = new DerReader(new DerReader(value).next(derTag.sequence, 'basic constraints').content);
  facts.isAuthority = constraints.optional(derTag.boolean, 'the mark of an authority')?.content[0] === 0xff;
  const pathLength = constraints.optional(derTag.integer, 'the path length');
  if (pathLength) facts.pathLength = pathLength.content.length === 1 ? (pathLength.content[0] ?? 0) : Number.MAX_SAFE_INTEGER;
}

/** GeneralNames (RFC 5280 section 4.2.1.6); a URI has tag 6. */
export function readAltNames(value: Uint8Array, names: { readonly uris: string[]; otherNames: number }): void {
  for (const list = new DerReader(new DerReader(value).next(derTag.sequence, 'subject alternative names').content); !list.over;) {
    const name = list.any('a subject alternative name');
    if (name.tag !== 0x86) names.otherNames++;
    else if (name.content.some((byte) => byte < 0x21 || byte > 0x7e)) throw new DerError('it has a URI name with characters that are not allowed');
    else names.uris.push(Buffer.from(name.content).toString('latin1'));
  }
}

function readBits(content: Uint8Array): number {
  return ((content[1] ?? 0) << 8) | (content[2] ?? 0);
}
