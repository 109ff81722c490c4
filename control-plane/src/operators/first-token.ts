import { createHash, timingSafeEqual } from 'node:crypto';
import type { Store } from '../store/store.ts';
import type { ApiTokenParts } from './api-token-text.ts';
import { makeApiToken } from './api-token-text.ts';

type Records = Pick<Store, 'records' | 'putRecords' | 'flushRecords'>;

const namespace = 'operators.first';
const recordKey = 'token';

/**
 * The token that the first start prints: it can make the first tokens and do nothing else, and is over as soon as there is one
 * of an administrator. A control plane that lost its administrators gets another one from `remora control-plane first-token`, which needs its disk.
 */
export class FirstToken {
  readonly #store: Records;
  #waiting: { readonly id: string; readonly hash: Buffer } | null = null;

  constructor(store: Records) {
    this.#store = store;
    const { state, id, hash } = store.records(namespace).get(recordKey) ?? {};
    if (state === 'waiting' && typeof id === 'string' && typeof hash === 'string' && hash.length === 64) this.#waiting = { id, hash: Buffer.from(hash, 'hex') };
  }

  /** No start made one yet. */
  get neverMade(): boolean {
    return !this.#store.records(namespace).has(recordKey);
  }

  /** It was printed, and nobody has used it up. */
  get waiting(): boolean {
    return this.#waiting !== null;
  }

  /** Makes one, in place of any before it. The text is nowhere else. Durable when it returns. */
  make(): string {
    const { parts: { id, secret }, text } = makeApiToken();
    const hash = hashOf(secret);
    this.#waiting = { id, hash };
    this.#keep({ state: 'waiting', id, hash: hash.toString('hex') });
    return text;
  }

  check({ id, secret }: ApiTokenParts): boolean {
    const given = hashOf(secret);
    return timingSafeEqual(given, this.#waiting?.hash ?? hashOf('')) && this.#waiting?.id === id;
  }

  /** There is a token of an administrator. */
  end(): void {
    if (this.#waiting === null) return;
    this.#waiting = null;
    this.#keep({ state: 'over' });
  }

  #keep(record: { readonly state: string; readonly id?: string; readonly hash?: string }): void {
    this.#store.putRecords(namespace, new Map([[recordKey, { ...record }]]));
    this.#store.flushRecords();
  }
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
