import type { HeaderId } from '@remora/http/head';
import { internHeaderName } from '@remora/http/header-ids';
import { claimText } from '@remora/policy-kit/claim-value';
import type { Exchange } from '@remora/policy-kit/exchange';
import { queryValueAt } from '@remora/policy-kit/query-values';
import { WireError } from '@remora/policy-kit/runtime-kind';
import type { KeyHash } from './key-hash.ts';

/**
 * Feeds what a limit counts by into the hash. With `all`, a part that a request lacks counts as empty: requests that leave
 * a header out share one count, they do not escape the limit. With `firstPresent`, the first part that is there is the key.
 */
export type KeyReader = (x: Exchange, hash: KeySink) => void;

/** Takes the parts of a key. */
export type KeySink = Pick<KeyHash, 'add'>;

export function createKeyReader(key: readonly string[], rule: 'all' | 'firstPresent', pointer: string): KeyReader {
  const parts = key.map((part) => createPart(part, pointer));
  const [only] = parts;
  if (only === undefined) return () => {};
  if (parts.length === 1) return (x, hash) => hash.add(1, only(x) ?? '');
  return rule === 'all' ? readAll(parts) : readFirst(parts);
}

function readAll(parts: readonly PartReader[]): KeyReader {
  return (x, hash) => {
    for (let i = 0; i < parts.length; i += 1) {
      const value = (parts[i] as PartReader)(x);
      hash.add(value === null ? 0 : i + 1, value ?? '');
    }
  };
}

function readFirst(parts: readonly PartReader[]): KeyReader {
  return (x, hash) => {
    for (let i = 0; i < parts.length; i += 1) {
      const value = (parts[i] as PartReader)(x);
      if (value === null) continue;
      hash.add(i + 1, value);
      return;
    }
  };
}

/** null: the request has no such thing. */
type PartReader = (x: Exchange) => string | null;

function createPart(part: string, pointer: string): PartReader {
  if (part === 'clientAddress') return (x) => x.clientAddress;
  if (part === 'method') return (x) => x.head.method;
  if (part === 'path') return (x) => x.head.path;
  if (part === 'route') return (x) => x.pin.route;
  if (part === 'consumer') return (x) => x.identity?.consumer?.name ?? null;
  if (part === 'caller') return (x) => (x.connection.principal === '' ? null : x.connection.principal);
  const name = part.slice(part.indexOf('.') + 1);
  if (part.startsWith('claim.')) return (x) => claimOf(x, name);
  if (part.startsWith('query.')) return (x) => queryValues(x.head.query, name);
  const id = internHeaderName(name);
  if (id === 0) throw new WireError(pointer, 'too-many', 'the table of header names is full');
  return (x) => headerValues(x, id);
}

/** Lists are joined; a claim that is missing or empty is not there. */
function claimOf({ identity }: Exchange, path: string): string | null {
  if (identity === null || identity.claims === null) return null;
  const text = claimText(identity.claims, path);
  return text === '' ? null : text;
}

/** All values count: a client that repeats a header is not another client. */
function headerValues({ head }: Exchange, id: HeaderId): string | null {
  if (!head.has(id)) return null;
  const count = head.count(id);
  if (count === 1) return head.valueAt(id, 0);
  let text = '';
  for (let nth = 0; nth < count; nth += 1) text += `${head.valueAt(id, nth)},`;
  return text;
}

const queryValuesMax = 16;

function queryValues(query: string, name: string): string | null {
  if (query === '') return null;
  const first = queryValueAt(query, name, 0);
  if (first === null) return null;
  let text = first;
  for (let nth = 1; nth < queryValuesMax; nth += 1) {
    const value = queryValueAt(query, name, nth);
    if (value === null) break;
    text += `,${value}`;
  }
  return text;
}
