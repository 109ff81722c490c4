/**
 * Why a handshake failed, as metrics name it, from the code that Node or OpenSSL gave. A fixed list: what clients do must not make new
 * names.
 */
export function handshakeFailure(code: string): string {
  return known.get(code) ?? (code.startsWith('ERR_SSL_') ? 'protocol' : code === '' ? 'client-left' : 'connection-lost');
}

const known: ReadonlyMap<string, string> = new Map([
  ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'version'],
  ['ERR_SSL_VERSION_TOO_LOW', 'version'],
  ['ERR_SSL_INAPPROPRIATE_FALLBACK', 'version'],
  ['ERR_SSL_NO_SHARED_CIPHER', 'no-shared-cipher'],
  ['ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM', 'no-shared-cipher'],
  ['ERR_SSL_NO_SHARED_GROUP', 'no-shared-cipher'],
  ['ERR_SSL_NO_APPLICATION_PROTOCOL', 'no-shared-protocol'],
  ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'client-certificate-missing'],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'client-certificate-missing'],
  ['ERR_SSL_CERTIFICATE_VERIFY_FAILED', 'client-certificate-untrusted'],
  // The client did not like what it was shown.
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'client-refused'],
  ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'client-refused'],
  ['ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', 'client-refused'],
  ['ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN', 'client-refused'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN', 'client-refused'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'client-refused'],
  ['ERR_SSL_TLSV1_UNRECOGNIZED_NAME', 'client-refused'],
  ['ETIMEDOUT', 'timeout'],
  ['ECONNRESET', 'client-left'],
  ['EPIPE', 'client-left'],
]);
