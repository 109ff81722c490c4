import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import { knownHeader } from '../known-header.ts';
import { queryValueAt } from '../query-values.ts';
import type { TokenPlace } from './token-place.ts';

/** Takes tokens out of a request before it is forwarded. Built once per snapshot. */
export function createTokenRemover(places: readonly TokenPlace[]): (head: Head) => void {
  const removers = places.map(createRemover);
  return (head) => {
    for (const remove of removers) remove(head);
  };
}

function createRemover({ kind, name }: TokenPlace): (head: Head) => void {
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
