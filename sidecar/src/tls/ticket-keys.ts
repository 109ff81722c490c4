import { hkdfSync } from 'node:crypto';

/**
 * Keys for the session tickets of one host under one policy, 48 bytes as OpenSSL wants them. The same in all data threads, and useless for
 * another host, another policy, other trusted authorities, or after the secret was rotated: no session crosses these (exchange.md section 4).
 */
export function ticketKeys(secret: Uint8Array, policyDigest: string, host: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, Buffer.from(policyDigest, 'hex'), `remora ticket keys\0${host}`, 48));
}
