import type { X509Certificate } from 'node:crypto';

/** The names of a certificate, by kind, as they are written in it. */
export interface CertificateNames {
  /** Lower case; `*.` at most as the first label. */
  readonly dns: readonly string[];
  readonly uris: readonly string[];
  /** As text. */
  readonly addresses: readonly string[];
}

/**
 * Reads the subject alternative names; the common name is not one. A string says what is wrong with them: names that are listed twice, or
 * hold what no such name may hold (NUL, quotes, control characters), are not taken apart but refused (security.md 3.5).
 */
export function certificateNames(certificate: X509Certificate): CertificateNames | string {
  const text = certificate.subjectAltName ?? '';
  const names = { dns: [] as string[], uris: [] as string[], addresses: [] as string[] };
  if (text === '') return names;
  // Node quotes every name with a character that could be mistaken for a separator.
  if (text.includes('"') || !isPlain(text)) return 'a name in it has characters that are not allowed';
  const seen = new Set<string>();
  for (const entry of text.split(', ')) {
    const colon = entry.indexOf(':');
    const kind = entry.slice(0, colon);
    const value = kind === 'DNS' ? entry.slice(colon + 1).toLowerCase() : entry.slice(colon + 1);
    if (seen.has(`${kind}:${value}`)) return `${value} is listed twice in it`;
    seen.add(`${kind}:${value}`);
    if (kind === 'DNS') names.dns.push(value);
    else if (kind === 'URI') names.uris.push(value);
    else if (kind === 'IP Address') names.addresses.push(value);
  }
  return names;
}

function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code > 0x7e) return false;
  }
  return true;
}
