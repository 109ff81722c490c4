import type { Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { FactUpdate } from '@remora/policy-kit/facts';
import { encodeStoreFact } from '@remora/policy-kit/store/store-line';
import { decodeAsks, encodeAnswers, storeFactKind, storeFactName } from '@remora/policy-kit/store/store-questions';
import type { RedisSettings, Snapshot } from '@remora/snapshot/snapshot';
import type { Log } from '../telemetry/log.ts';
import type { RedisStore } from './redis-store.ts';

export interface StoreKeeperOptions {
  readonly useFacts: (update: FactUpdate) => Promise<void>;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  readonly onEvent: (kind: string, message: string, attributes: Readonly<Record<string, string>>) => void;
  /** `warming` changed. */
  readonly onWarming: () => void;
}

/** A snapshot that is the first to need a store waits for it for so long. */
const reachMs = 1_000;

/** Keeps the connection to the store that the snapshot names, and answers for it. Where no setting needs one, nothing of it is loaded. */
export class StoreKeeper {
  readonly #options: StoreKeeperOptions;
  #secrets: ReadonlyMap<string, Uint8Array> = new Map();
  #settings: RedisSettings | null = null;
  /** What the open store was made of. */
  #madeOf = '';
  #store: RedisStore | null = null;
  #changes: Promise<void> = Promise.resolve();
  #closed = false;
  #onReady: (() => void) | null = null;

  constructor(options: StoreKeeperOptions) {
    this.#options = options;
  }

  /** Before a swap: who needs a store for the first time does not begin without it, unless it is away. */
  async reach({ fleet }: Snapshot): Promise<void> {
    if (fleet.redis === null || this.#settings !== null) return;
    this.#settings = fleet.redis;
    await this.#change();
    if (this.warming.length === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#options.timers.after(reachMs, resolve);
      this.#onReady = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#onReady = null;
  }

  /** The snapshot is enforced. */
  follow({ fleet }: Snapshot): Promise<void> {
    if (fleet.redis === null && this.#settings === null) return Promise.resolve();
    this.#settings = fleet.redis;
    return this.#change();
  }

  useSecrets(secrets: ReadonlyMap<string, Uint8Array>): void {
    this.#secrets = secrets;
    if (this.#settings !== null) void this.#change();
  }

  /** What is waited for: the store, until it answered once. */
  get warming(): readonly string[] {
    return this.#settings === null || this.#store?.ready === true ? [] : ['stores.redis'];
  }

  /** null: there is no store, or it says nothing. */
  async answer(body: Uint8Array): Promise<Uint8Array | null> {
    const store = this.#store;
    if (store === null) return null;
    try {
      return encodeAnswers(await store.take(decodeAsks(body)));
    } catch {
      // Said once by the store itself; each request that it concerns is counted by the policy.
      return null;
    }
  }

  /** Totals, by what makes them the same count. Rejects where there is no store, or it says nothing. */
  read(asked: readonly { readonly name: string; readonly identity: string }[]): Promise<readonly number[]> {
    return this.#store?.read(asked) ?? Promise.reject(new Error('this sidecar has no store'));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#changes;
    this.#store?.close();
    this.#store = null;
  }

  /** One after the other, so that no connection is left over. */
  #change(): Promise<void> {
    this.#changes = this.#changes.then(() => this.#renew()).catch((error: unknown) => {
      this.#options.log.error('the store cannot be used', { cause: error instanceof Error ? error.message : String(error) });
    });
    return this.#changes;
  }

  async #renew(): Promise<void> {
    if (this.#closed) return;
    const settings = this.#settings;
    const passwords = settings === null ? null : this.#passwords(settings);
    const madeOf = passwords === null ? '' : JSON.stringify([settings, passwords]);
    if (madeOf !== this.#madeOf) await this.#replace(settings, passwords, madeOf);
    await this.#options.useFacts({ kind: storeFactKind, full: true, facts: new Map(settings === null ? [] : [[storeFactName, encodeStoreFact(settings.deadlineMs)]]) });
  }

  async #replace(settings: RedisSettings | null, passwords: Passwords | null, madeOf: string): Promise<void> {
    this.#store?.close();
    this.#store = null;
    this.#madeOf = madeOf;
    if (settings === null || passwords === null) return;
    const { timers, random, log, onEvent } = this.#options;
    const [{ createRedisClient }, { RedisStore: Store }] = await Promise.all([import('./redis-client.ts'), import('./redis-store.ts')]);
    const client = await createRedisClient(settings, passwords, () => random.next());
    this.#store = new Store({
      client, timers, keyPrefix: settings.keyPrefix, deadlineMs: settings.deadlineMs,
      onTrouble: (cause) => {
        if (cause === null) {
          this.#onReady?.();
          this.#options.onWarming();
          log.info('the store answers');
        }
        if (cause !== null) log.warn('the store does not answer as it should', { cause });
        onEvent(cause === null ? 'store-answers' : 'store-trouble', cause ?? 'the store answers', { store: 'redis' });
      },
    });
  }

  /** null: a Secret has not come yet. */
  #passwords({ passwordSecret, sentinelPasswordSecret }: RedisSettings): Passwords | null {
    const [redis, sentinel] = [passwordSecret, sentinelPasswordSecret].map((name) => (name === '' ? '' : this.#secrets.get(name)));
    return redis === undefined || sentinel === undefined ? null : { redis: textOf(redis), sentinel: textOf(sentinel) };
  }
}

interface Passwords {
  readonly redis: string;
  readonly sentinel: string;
}

/** A line end behind a password is never part of it. */
function textOf(value: Uint8Array | string): string {
  return typeof value === 'string' ? value : Buffer.from(value).toString().replace(/\r?\n$/, '');
}
