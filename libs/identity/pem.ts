import { X509Certificate } from 'node:crypto';

/** PEM of one certificate, lines of 64 characters (RFC 7468 section 5). */
export function certificatePem(raw: Uint8Array): string {
  const lines = Buffer.from(raw).toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

const certificatesMax = 64;

/** Every certificate of a PEM text in its order, at most 64; or a sentence on what is wrong with it. */
export function readCertificates(text: string): readonly X509Certificate[] | string {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) return 'there is no certificate in it';
  if (blocks.length > certificatesMax) return `it has more than ${certificatesMax} certificates`;
  const certificates: X509Certificate[] = [];
  for (const [at, block] of blocks.entries()) {
    const certificate = readCertificate(block);
    if (certificate === null) return `its certificate ${at + 1} cannot be read`;
    certificates.push(certificate);
  }
  return certificates;
}

/** null where it is none. */
export function readCertificate(bytes: Uint8Array | string): X509Certificate | null {
  try {
    return new X509Certificate(bytes);
  } catch {
    return null;
  }
}
