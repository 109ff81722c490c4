import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import { cookieValueAt } from './cookie-values.ts';
import type { Exchange } from './exchange.ts';
import { knownHeader } from './known-header.ts';
import { queryValueAt } from './query-values.ts';

/** Where clients show a credential. */
export interface CredentialPlace {
  readonly kind: 'header' | 'query' | 'cookie';
  /** Header names in lower case. */
  readonly name: string;
}

/** It is there more than once: which one counts is not for us to guess. */
export const ambiguousCredential: unique symbol = Symbol('ambiguous');

export type CredentialReader = (x: Exchange) => string | null | typeof ambiguousCredential;

/** Reads the credential of a request, null where there is none. Built once per snapshot. */
export function createCredentialReader(places: readonly CredentialPlace[], pointer: string): CredentialReader {
  const readers = places.map((place, i) => createReader(place, `${pointer}/${i}`));
  const [only] = readers;
  if (only !== undefined && readers.length === 1) return only;
  return (x) => {
    let found: string | null = null;
    for (const read of readers) {
      const value = read(x);
      if (value === null) continue;
      if (found !== null || value === ambiguousCredential) return ambiguousCredential;
      found = value;
    }
    return found;
  };
}

function createReader({ kind, name }: CredentialPlace, pointer: string): CredentialReader {
  switch (kind) {
    case 'header': {
      const id = knownHeader(name, pointer);
      return ({ head }) => {
        if (!head.has(id)) return null;
        return head.count(id) === 1 ? head.valueAt(id, 0) : ambiguousCredential;
      };
    }
    case 'query':
      return ({ head: { query } }) => (query === '' ? null : once((nth) => queryValueAt(query, name, nth)));
    case 'cookie':
      return ({ head }) => (head.has(cookieId) ? once((nth) => cookieValueAt(head, name, nth)) : null);
  }
}

function once(valueAt: (nth: number) => string | null): string | null | typeof ambiguousCredential {
  const value = valueAt(0);
  return value === null || valueAt(1) === null ? value : ambiguousCredential;
}

/** Takes credentials out of a request, in every spelling, before it is forwarded. Built once per snapshot. */
export function createCredentialRemover(places: readonly CredentialPlace[]): (head: Head) => void {
  const removers = places.map(createRemover);
  const [only] = removers;
  if (only !== undefined && removers.length === 1) return only;
  return (head) => {
    for (const remove of removers) remove(head);
  };
}

function createRemover({ kind, name }: CredentialPlace): (head: Head) => void {
  switch (kind) {
    case 'header': {
      const id = knownHeader(name, '');
      return (head) => head.remove(id);
    }
    case 'query':
      return (head) => {
        if (head.query !== '' && queryValueAt(head.query, name, 0) !== null) head.setTarget(head.path, withoutParameter(head.query, name));
      };
    case 'cookie':
      return (head) => removeCookie(head, name);
  }
}

/** The parameter in any spelling that decodes to its name. */
function withoutParameter(query: string, name: string): string {
  return query.split('&').filter((pair) => queryValueAt(pair, name, 0) === null).join('&');
}

function removeCookie(head: Head, name: string): void {
  if (!head.has(cookieId)) return;
  const kept: string[] = [];
  for (let nth = 0; nth < head.count(cookieId); nth++) {
    for (const pair of head.valueAt(cookieId, nth).split(';')) if (pair.trim() !== '' && cookieName(pair) !== name) kept.push(pair.trim());
  }
  if (kept.length === 0) head.remove(cookieId);
  else head.set(cookieId, kept.join('; '));
}

function cookieName(pair: string): string {
  const equals = pair.indexOf('=');
  return (equals < 0 ? pair : pair.slice(0, equals)).trim();
}

const cookieId = headerId('cookie');
