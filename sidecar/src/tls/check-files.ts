import { X509Certificate, createPrivateKey, type KeyObject } from 'node:crypto';
import { certificateNames } from './certificate-names.ts';

export interface FileFacts {
  /** Of the certificate, or of the authority that ends first: Unix milliseconds. */
  readonly notAfterMs: number;
  /** Host names and URIs of the certificate; common names of authorities. */
  readonly names: readonly string[];
  readonly keyType: string;
  /** SHA-256 of the certificate, as tools print it; '' for several authorities. */
  readonly fingerprint: string;
}

export type FileCheck =
  | { readonly ok: true; readonly facts: FileFacts }
  /** `field`: which of the two fields is wrong. `code` is stable. */
  | { readonly ok: false; readonly field: 'certFile' | 'keyFile' | ''; readonly code: string; readonly problem: string };

/** Whether the texts are a certificate and its key. Messages never show anything of the key. */
export function checkCertificate(cert: string, key: string): FileCheck {
  const certificates = readAll(cert);
  const [leaf] = certificates ?? [];
  if (certificates === null || leaf === undefined) return wrong('certFile', 'invalid-certificate', 'holds no certificate in PEM');
  const names = certificateNames(leaf);
  if (typeof names === 'string') return wrong('certFile', 'invalid-certificate', `holds a certificate that cannot be used: ${names}`);
  const privateKey = readKey(key);
  if (typeof privateKey === 'string') return wrong('keyFile', 'invalid-key', privateKey);
  if (!leaf.checkPrivateKey(privateKey)) return wrong('keyFile', 'key-mismatch', 'is not the key of the certificate');
  return { ok: true, facts: factsOf(leaf, [...names.dns, ...names.uris]) };
}

export function checkAuthorities(text: string): FileCheck {
  const certificates = readAll(text);
  const [first] = certificates ?? [];
  if (certificates === null || first === undefined) return wrong('', 'invalid-certificate', 'holds no certificates in PEM');
  const notAfterMs = Math.min(...certificates.map(({ validToDate }) => validToDate.getTime()));
  const names = certificates.slice(0, namesShown).map(({ subject }) => subject.replaceAll('\n', ', '));
  return { ok: true, facts: { ...factsOf(first, names), notAfterMs, fingerprint: certificates.length === 1 ? first.fingerprint256 : '' } };
}

function factsOf(certificate: X509Certificate, names: readonly string[]): FileFacts {
  return {
    notAfterMs: certificate.validToDate.getTime(),
    names: names.slice(0, namesShown),
    keyType: certificate.publicKey.asymmetricKeyType ?? '',
    fingerprint: certificate.fingerprint256,
  };
}

/** Null where one of them cannot be read. */
function readAll(text: string): X509Certificate[] | null {
  const blocks = text.match(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g) ?? [];
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    return null;
  }
}

function readKey(text: string): KeyObject | string {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/.test(text)) return 'is encrypted; a key without a passphrase is needed, readable by the sidecar alone';
  try {
    return createPrivateKey(text);
  } catch {
    return 'holds no private key in PEM';
  }
}

function wrong(field: 'certFile' | 'keyFile' | '', code: string, problem: string): FileCheck {
  return { ok: false, field, code, problem };
}

const namesShown = 20;
