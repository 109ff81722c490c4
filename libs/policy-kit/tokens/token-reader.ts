import type { Head, HeaderId } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import { cookieValueAt } from '../cookie-values.ts';
import type { Exchange } from '../exchange.ts';
import { knownHeader } from '../known-header.ts';
import { queryValueAt } from '../query-values.ts';
import type { TokenPlace } from './token-place.ts';

/** More than one token, or a field that may come once came twice: which one counts is not for us to guess (RFC 6750 section 2). */
export const ambiguous: unique symbol = Symbol('ambiguous');

/** The token of a request; null where there is none. */
export type TokenReader = (x: Exchange) => string | null | typeof ambiguous;

/** Built once per snapshot. */
export function createTokenReader(places: readonly TokenPlace[]): TokenReader {
  const readers = places.map((place, i) => createPlaceReader(place, `/tokenFrom/${i}`));
  const [only] = readers;
  if (only !== undefined && readers.length === 1) return only;
  return (x) => {
    let found: string | null = null;
    for (const read of readers) {
      const token = read(x);
      if (token === null) continue;
      if (found !== null || token === ambiguous) return ambiguous;
      found = token;
    }
    return found;
  };
}

function createPlaceReader({ kind, name, scheme }: TokenPlace, pointer: string): TokenReader {
  switch (kind) {
    case 'header': {
      const id = knownHeader(name, `${pointer}/header`);
      return scheme === '' ? (x) => wholeValue(x.head, id) : (x) => schemeValue(x.head, id, scheme.toLowerCase());
    }
    case 'query':
      return ({ head: { query } }) => (query === '' ? null : once((nth) => queryValueAt(query, name, nth)));
    case 'cookie':
      return ({ head }) => (head.has(cookieId) ? once((nth) => cookieValueAt(head, name, nth)) : null);
  }
}

function wholeValue(head: Head, id: HeaderId): string | null | typeof ambiguous {
  const count = head.count(id);
  if (count === 0) return null;
  return count === 1 ? head.valueAt(id, 0) : ambiguous;
}

/** `Bearer TOKEN`, the scheme in any case, at least one space (RFC 9110 section 11.4). A value of another scheme is somebody else's. */
function schemeValue(head: Head, id: HeaderId, scheme: string): string | null | typeof ambiguous {
  const count = head.count(id);
  if (count === 0) return null;
  if (count > 1) return ambiguous;
  const value = head.valueAt(id, 0);
  const end = scheme.length;
  if (value.length < end || (value.length > end && value.charCodeAt(end) !== space)) return null;
  for (let i = 0; i < end; i++) if (lower(value.charCodeAt(i)) !== scheme.charCodeAt(i)) return null;
  let start = end + 1;
  while (value.charCodeAt(start) === space) start++;
  return value.slice(start);
}

function once(valueAt: (nth: number) => string | null): string | null | typeof ambiguous {
  const value = valueAt(0);
  return value === null || valueAt(1) === null ? value : ambiguous;
}

function lower(code: number): number {
  return code >= 0x41 && code <= 0x5a ? code + 0x20 : code;
}

const cookieId = headerId('cookie');
const space = 0x20;
