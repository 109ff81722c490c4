import type { Json } from '@remora/core/canonical-json';
import type { FactBook } from '../facts.ts';
import { KeySet, readKeySet } from './key-set.ts';
import { parseStrictJsonBytes } from './strict-json.ts';

/**
 * Keys of issuers in one data thread, from the facts of kind `jwks`: a fact is named by where the keys come from (`keySourceName`), and its body is the JSON Web
 * Key Set as the control thread found it good. Decoded once for each thread, and only what has changed.
 */
export class IssuerKeys {
  readonly #book: FactBook;
  readonly #sets = new Map<string, { readonly body: Uint8Array; readonly set: KeySet | null }>();

  static over(book: FactBook): IssuerKeys {
    let keys = decoded.get(book);
    if (keys === undefined) decoded.set(book, keys = new IssuerKeys(book));
    return keys;
  }

  private constructor(book: FactBook) {
    this.#book = book;
  }

  /** Moves when some keys may have changed. */
  get version(): number {
    return this.#book.version;
  }

  /** null: they were never there. Without keys: they are too old to be believed. The same object as long as they have not changed. */
  of(source: string): KeySet | null {
    const body = this.#book.get(source);
    const known = this.#sets.get(source);
    if (body === undefined) {
      if (known !== undefined) this.#sets.delete(source);
      return null;
    }
    if (known !== undefined && (known.body === body || Buffer.compare(known.body, body) === 0)) return known.set;
    const read = readKeySet(parseStrictJsonBytes(body));
    const set = typeof read === 'string' ? null : read.set;
    this.#sets.set(source, { body, set });
    return set;
  }
}

const decoded = new WeakMap<FactBook, IssuerKeys>();

/** Where the keys of an issuer come from: what the control thread fetches, and what two policies have in common. */
export interface KeySource {
  /** The issuer itself: its discovery document (OpenID Connect Discovery 1.0) names the address of its keys. */
  readonly issuer: string;
  /** The address of its keys; '' for discovery. */
  readonly uri: string;
  /** The issuer may be at a private, loopback or link-local address. */
  readonly allowPrivateAddresses: boolean;
}

/** Name of the fact. */
export function keySourceName({ issuer, uri, allowPrivateAddresses }: KeySource): string {
  return JSON.stringify([issuer, uri, allowPrivateAddresses]);
}

/** Body of the fact. */
export function encodeKeySet(keys: readonly Json[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ keys }));
}
