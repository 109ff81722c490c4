import { boundedText, oneWord, wireHeaderName } from '../wire-check.ts';

/** Where in a request a token may stand. */
export interface TokenPlace {
  readonly kind: 'header' | 'query' | 'cookie';
  readonly name: string;
  /** '' for the whole value of a header. */
  readonly scheme: string;
}

/** The wire form, checked again. */
export function readTokenPlace({ kind, name, scheme }: { readonly kind: string; readonly name: string; readonly scheme: string }, i: number): TokenPlace {
  const pointer = `/tokenFrom/${i}`;
  const known = oneWord(kind, pointer, ['header', 'query', 'cookie'] as const);
  return Object.freeze({
    kind: known,
    name: known === 'header' ? wireHeaderName(name, `${pointer}/header`) : boundedText(name, `${pointer}/${known}`, 64, /^[A-Za-z0-9_.-]+$/),
    scheme: boundedText(scheme, `${pointer}/scheme`, 32, /^(?:[A-Za-z][A-Za-z0-9-]*)?$/),
  });
}

export const tokenPlacesMax = 8;
