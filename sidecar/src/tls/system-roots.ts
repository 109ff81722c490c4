import tls from 'node:tls';

let looked = false;

/**
 * The authorities that this system trusts, as options of a SecureContext. Node comes with Mozilla's list and uses it by default; where the
 * system has one of its own (SSL_CERT_FILE and SSL_CERT_DIR say where) that is made the default of this thread. Parsing takes some
 * milliseconds, so it is done once.
 */
export function systemRoots(): Readonly<Record<string, never>> {
  if (looked) return {};
  looked = true;
  const system = tls.getCACertificates('system');
  if (system.length > 0) tls.setDefaultCACertificates(system);
  return {};
}
