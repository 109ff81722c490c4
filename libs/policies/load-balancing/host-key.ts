import { cookieValueAt } from '@remora/policy-kit/cookie-values';
import type { Call } from '@remora/policy-kit/exchange';
import { knownHeader } from '@remora/policy-kit/known-header';
import { queryValueAt } from '@remora/policy-kit/query-values';
import { hashText } from '@remora/core/text-hash';

/** Hash of what decides where a request goes: of the first part that it has. -1: it has none. */
export type KeyHash = (call: Call) => number;

/** Throws WireError where a header cannot be known. */
export function createKeyHash(parts: readonly string[]): KeyHash {
  const readers = parts.map((part, i) => createReader(part, `/hash/by/${i}`));
  return (call) => {
    for (const read of readers) {
      const value = read(call);
      if (value !== null && value !== '') return hashText(value);
    }
    return -1;
  };
}

function createReader(part: string, pointer: string): (call: Call) => string | null {
  if (part === 'clientAddress') return ({ x }) => x.clientAddress;
  const name = part.slice(part.indexOf('.') + 1);
  if (part.startsWith('cookie.')) return ({ head }) => cookieValueAt(head, name, 0);
  if (part.startsWith('query.')) return ({ head }) => queryValueAt(head.query, name, 0);
  const id = knownHeader(name, pointer);
  return ({ head }) => (head.has(id) ? head.valueAt(id, 0) : null);
}
