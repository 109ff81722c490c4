import type { X509Certificate } from 'node:crypto';
import { createHash } from 'node:crypto';
import { DerError, DerReader, derTag, oidText } from './der-reader.ts';
import { oids } from './oids.ts';

/** By whom a certificate was issued, as a list of revoked certificates names it. */
export interface CertificateIssuer {
  /** Serial number as 40 hexadecimal digits; '' for one longer than RFC 5280 allows (section 4.1.2.2). */
  readonly serial: string;
  /** SHA-256 of the issuer's Name as encoded, hexadecimal. */
  readonly issuerHash: string;
  /** Key identifier of the issuer's key, hexadecimal; '' where the certificate does not tell (section 4.2.1.1). */
  readonly issuerKeyId: string;
}

/** Never throws: what cannot be read is by nobody, which no list knows. */
export function certificateIssuer({ raw }: Pick<X509Certificate, 'raw'>): CertificateIssuer {
  try {
    return read(raw);
  } catch (error) {
    if (error instanceof DerError) return unreadable;
    throw error;
  }
}

const unreadable: CertificateIssuer = Object.freeze({ serial: '', issuerHash: '', issuerKeyId: '' });

function read(raw: Uint8Array): CertificateIssuer {
  const certificate = new DerReader(new DerReader(raw).next(derTag.sequence, 'the certificate').content);
  const body = new DerReader(certificate.next(derTag.sequence, 'the body of the certificate').content);
  body.optional(0xa0, 'the version');
  const serial = serialText(body.next(derTag.integer, 'the serial number').content);
  body.next(derTag.sequence, 'the signature algorithm');
  const issuerHash = nameHash(body.next(derTag.sequence, 'the issuer').whole);
  body.next(derTag.sequence, 'the validity');
  body.next(derTag.sequence, 'the subject');
  body.next(derTag.sequence, 'the public key');
  body.optional(0x81, 'the issuer id');
  body.optional(0x82, 'the subject id');
  const wrapped = body.optional(0xa3, 'the extensions');
  return { serial, issuerHash, issuerKeyId: wrapped === null ? '' : readKeyId(new DerReader(wrapped.content).next(derTag.sequence, 'the extensions').content) };
}

function readKeyId(extensions: Uint8Array): string {
  for (const list = new DerReader(extensions); !list.over;) {
    const extension = new DerReader(list.next(derTag.sequence, 'an extension').content);
    const type = oidText(extension.next(derTag.oid, 'the type of an extension').content);
    extension.optional(derTag.boolean, 'the mark of an extension');
    if (type === oids.authorityKeyId) return authorityKeyId(extension.next(derTag.octets, 'the value of an extension').content);
  }
  return '';
}

/** AuthorityKeyIdentifier (RFC 5280 section 4.2.1.1): of the three the key identifier, '' without one. */
export function authorityKeyId(value: Uint8Array): string {
  const parts = new DerReader(new DerReader(value).next(derTag.sequence, 'the authority key id').content);
  return Buffer.from(parts.optional(0x80, 'the authority key id')?.content ?? new Uint8Array()).toString('hex');
}

/** 40 digits, whatever zeros lead; '' for more than 20 bytes. */
export function serialText(content: Uint8Array): string {
  const text = Buffer.from(content).toString('hex').replace(/^(?:00)+/, '');
  return text.length > serialDigits ? '' : text.padStart(serialDigits, '0');
}

export function nameHash(name: Uint8Array): string {
  return createHash('sha256').update(name).digest('hex');
}

const serialDigits = 40;
