import { createHmac } from 'node:crypto';
import { consumerDirectory, type ConsumerDirectory } from '@remora/policy-kit/consumer-directory';
import type { ConsumerCredential } from '@remora/policy-kit/consumer-credentials';
import type { FactBook } from '@remora/policy-kit/facts';
import { RecentMap } from '@remora/policy-kit/recent-map';
import type { FoundCredential } from '@remora/policy-kit/request-identity';

/** A key that is right, and what it proves. */
export interface KnownKey {
  readonly credential: ConsumerCredential;
  readonly found: FoundCredential;
}

/** Twice as many keys are remembered at most. */
const rememberedMax = 8_192;
export const keyLengthMax = 512;

/**
 * Keys as the filters of one thread know them. What a request shows is hashed (HMAC-SHA-256 under the key that the fleet shares) and looked up by the hash;
 * for keys that were right before, the hash is remembered. Whether a key is good is asked of the directory each time.
 */
export class KnownKeys {
  readonly #directory: ConsumerDirectory;
  readonly #remembered = new RecentMap<{ readonly digest: string; known: KnownKey }>(rememberedMax);
  #lookupKey: Uint8Array | null = null;

  /** One for all filters of a thread. */
  static over(book: FactBook): KnownKeys {
    let keys = all.get(book);
    if (keys === undefined) all.set(book, keys = new KnownKeys(book));
    return keys;
  }

  private constructor(book: FactBook) {
    this.#directory = consumerDirectory(book);
  }

  /** null: nobody's key. `warming`: keys are not known yet. */
  find(key: string): KnownKey | null | 'warming' {
    const { lookupKey } = this.#directory;
    if (lookupKey === null) return 'warming';
    if (lookupKey !== this.#lookupKey) {
      this.#lookupKey = lookupKey;
      this.#remembered.clear();
    }
    const remembered = this.#remembered.get(key);
    if (remembered === undefined) return this.#first(key, lookupKey);
    const credential = this.#directory.byApiKey(remembered.digest);
    if (credential === remembered.known.credential) return remembered.known;
    if (credential === null) {
      this.#remembered.delete(key);
      return null;
    }
    return remembered.known = knownKey(credential);
  }

  #first(key: string, lookupKey: Uint8Array): KnownKey | null {
    const digest = createHmac('sha256', lookupKey).update(key).digest('base64');
    const credential = this.#directory.byApiKey(digest);
    if (credential === null) return null;
    const known = knownKey(credential);
    this.#remembered.set(key, { digest, known });
    return known;
  }
}

const all = new WeakMap<FactBook, KnownKeys>();
const noScopes: readonly string[] = Object.freeze([]);

function knownKey(credential: ConsumerCredential): KnownKey {
  return { credential, found: Object.freeze({ consumer: credential.consumer, subject: credential.id, issuer: '', claims: null, scopes: noScopes }) };
}
