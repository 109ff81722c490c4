import { hash } from 'node:crypto';

/** SHA-256 as lower-case hex: the address of every resource. */
export function contentHash(bytes: Uint8Array | string): string {
  return hash('sha256', bytes, 'hex');
}
