import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { readAltNames, readCommonName } from './certificate-facts.ts';
import { DerError, DerReader, derTag, oidText } from './der-reader.ts';
import { oids } from './oids.ts';

/** What a certification request asks for. Nothing of it is believed but the key. */
export interface CertificateRequest {
  readonly publicKey: KeyObject;
  /** SubjectPublicKeyInfo, as it goes into the certificate. */
  readonly spki: Buffer;
  readonly commonName: string;
  /** URI names asked for. */
  readonly uris: readonly string[];
  /** Names of other kinds asked for. */
  readonly otherNames: number;
}

export type CertificateRequestResult = { readonly ok: true; readonly request: CertificateRequest } | { readonly ok: false; readonly code: 'bad-request' | 'key-proof'; readonly problem: string };

/** Far more than a request for a key of an elliptic curve takes. */
export const requestBytesMax = 4_096;

/**
 * Reads a certification request (RFC 2986) and checks its signature. Keys are ECDSA P-256 and nothing else: one kind of key is
 * one thing to get right.
 */
export function readCertificateRequest(bytes: Uint8Array): CertificateRequestResult {
  if (bytes.length > requestBytesMax) return { ok: false, code: 'bad-request', problem: `the certification request has ${bytes.length} bytes, at most ${requestBytesMax} are read` };
  try {
    return readRequest(bytes);
  } catch (error) {
    if (error instanceof DerError) return { ok: false, code: 'bad-request', problem: `the certification request cannot be read: ${error.message}` };
    throw error;
  }
}

function readRequest(bytes: Uint8Array): CertificateRequestResult {
  const outer = new DerReader(bytes);
  const parts = new DerReader(outer.next(derTag.sequence, 'the request').content);
  outer.end('the request');
  const info = parts.next(derTag.sequence, 'its content');
  const algorithm = new DerReader(parts.next(derTag.sequence, 'its signature algorithm').content).next(derTag.oid, 'its signature algorithm').content;
  const signature = parts.next(derTag.bits, 'its signature').content;
  parts.end('its signature');
  const body = new DerReader(info.content);
  body.next(derTag.integer, 'its version');
  const commonName = readCommonName(body.next(derTag.sequence, 'its subject').content);
  const spki = Buffer.from(body.next(derTag.sequence, 'its public key').whole);
  const names = readNames(body.optional(0xa0, 'its attributes')?.content ?? new Uint8Array());
  body.end('its content');
  const publicKey = readKey(spki);
  if (publicKey === null) return { ok: false, code: 'bad-request', problem: 'the certification request has a key that is not ECDSA P-256' };
  const proven = oidText(algorithm) === oids.ecdsaWithSha256 && signature[0] === 0 && verify('sha256', info.whole, publicKey, signature.subarray(1));
  if (!proven) return { ok: false, code: 'key-proof', problem: 'the certification request is not signed with the key it is for' };
  return { ok: true, request: { publicKey, spki, commonName, ...names } };
}

function readKey(spki: Buffer): KeyObject | null {
  try {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? key : null;
  } catch {
    return null;
  }
}

/** Of the extensions asked for only the subject alternative names are of interest. */
function readNames(attributes: Uint8Array): Pick<CertificateRequest, 'uris' | 'otherNames'> {
  const names = { uris: [] as string[], otherNames: 0 };
  for (const list = new DerReader(attributes); !list.over;) {
    const attribute = new DerReader(list.next(derTag.sequence, 'an attribute').content);
    if (oidText(attribute.next(derTag.oid, 'the type of an attribute').content) !== oids.extensionRequest) continue;
    const wanted = new DerReader(attribute.next(derTag.set, 'the extensions asked for').content).next(derTag.sequence, 'the extensions asked for').content;
    for (const extensions = new DerReader(wanted); !extensions.over;) {
      const extension = new DerReader(extensions.next(derTag.sequence, 'an extension').content);
      const type = oidText(extension.next(derTag.oid, 'the type of an extension').content);
      extension.optional(derTag.boolean, 'the mark of an extension');
      if (type === oids.subjectAltName) readAltNames(extension.next(derTag.octets, 'the value of an extension').content, names);
    }
  }
  return names;
}
