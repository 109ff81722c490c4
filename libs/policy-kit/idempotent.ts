import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';

/** Whether doing it twice is the same as doing it once (RFC 9110 section 9.2.2), or the client says how to tell. */
export function isIdempotent(head: Head): boolean {
  return idempotentMethods.has(head.method) || head.has(idempotencyKey);
}

const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);
const idempotencyKey = headerId('idempotency-key');
