import type { X509Certificate } from 'node:crypto';
import net from 'node:net';
import { certificateNames } from './certificate-names.ts';

/** What is wrong with the names of a server's certificate where one of these is wanted: host names, addresses or URIs; '' where it has one. */
export function checkPeerNames(certificate: X509Certificate, wanted: readonly string[]): string {
  const names = certificateNames(certificate);
  if (typeof names === 'string') return names;
  return wanted.some((name) => isNamed(certificate, names.uris, name)) ? '' : `it names none of ${wanted.join(', ')}`;
}

/** A name with a scheme is a URI, which must be equal; an address must be listed as one; a host may be named by a wildcard. */
function isNamed(certificate: X509Certificate, uris: readonly string[], name: string): boolean {
  if (name.includes('://')) return uris.includes(name);
  if (net.isIP(name) !== 0) return certificate.checkIP(name) !== undefined;
  // The common name is not looked at: it was never meant for it (RFC 9525 section 2).
  return certificate.checkHost(name, { subject: 'never' }) !== undefined;
}
