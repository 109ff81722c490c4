/** Cipher suites that may be configured: forward secret and authenticated. OpenSSL's names. */
export const cipherNames = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-RSA-CHACHA20-POLY1305',
] as const;

/** OpenSSL's list: those named, and all for a version of TLS of which none is named. */
export function cipherList(named: readonly string[]): string {
  const of = (version13: boolean): readonly string[] => {
    const chosen = named.filter((name) => name.startsWith('TLS_') === version13);
    return chosen.length > 0 ? chosen : cipherNames.filter((name) => name.startsWith('TLS_') === version13);
  };
  return [...of(true), ...of(false)].join(':');
}
