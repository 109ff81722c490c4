import { createHash } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import type { Timers } from '@remora/core/clock';
import type { StoreAnswer, StoreAsk } from '@remora/policy-kit/store/store-questions';
import { scriptOf } from './redis-scripts.ts';

export interface RedisStoreOptions {
  readonly client: Redis | Cluster;
  readonly keyPrefix: string;
  readonly deadlineMs: number;
  readonly timers: Timers;
  /** Once for each trouble, null when it is over. */
  readonly onTrouble: (cause: string | null) => void;
}

/** Counts in Redis for all data threads of one sidecar. What does not answer within the deadline has failed, and so has everything while there is no connection. */
export class RedisStore {
  readonly #options: RedisStoreOptions;
  readonly #client: Redis | Cluster;
  #silent = 0;
  #trouble: string | null = notYet;
  #lastError = '';

  constructor(options: RedisStoreOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#client.on('error', (error: Error) => {
      this.#lastError = error.message;
      if (!this.ready) this.#say(error.message);
    });
    this.#client.on('ready', () => {
      this.#silent = 0;
      this.#say(null);
    });
  }

  get ready(): boolean {
    return this.#client.status === 'ready';
  }

  /** '' where all is well. */
  get trouble(): string {
    return this.ready ? (this.#trouble ?? '') : this.#lastError || notYet;
  }

  /** null for a key of which Redis cannot say anything; rejects where it says nothing at all. No asks: only whether it answers. */
  take(asks: readonly StoreAsk[]): Promise<readonly (StoreAnswer | null)[]> {
    if (!this.ready) return Promise.reject(new Error(this.trouble));
    const answers = asks.length === 0 ? this.#client.ping().then(() => []) : Promise.all(asks.map((ask) => this.#count(ask)));
    // Nobody waits for what is given back.
    const patient = asks.length > 0 && asks.every(({ want }) => want < 0);
    return this.#within(answers, patient ? readMs : this.#options.deadlineMs);
  }

  /** Totals as they stand; 0 where there is none. */
  read(asked: readonly Pick<StoreAsk, 'name' | 'identity'>[]): Promise<readonly number[]> {
    if (!this.ready) return Promise.reject(new Error(this.trouble));
    const counts = asked.map(async (one) => Number((await this.#client.get(this.#options.keyPrefix + storeKey({ ...one, counting: 'total' }))) ?? 0) || 0);
    return this.#within(Promise.all(counts), readMs);
  }

  close(): void {
    this.#client.disconnect();
  }

  #within<T>(answers: Promise<T>, deadlineMs = this.#options.deadlineMs): Promise<T> {
    const { timers } = this.#options;
    return new Promise((resolve, reject) => {
      const timer = timers.after(deadlineMs, () => {
        this.#fellSilent();
        reject(new Error(`no answer within ${deadlineMs} ms`));
      });
      answers.then((value) => {
        timer.cancel();
        this.#silent = 0;
        this.#say(null);
        resolve(value);
      }, (error: unknown) => {
        timer.cancel();
        const cause = error instanceof Error ? error : new Error(String(error));
        this.#say(cause.message);
        reject(cause);
      });
    });
  }

  /** A connection that is only silent does not end by itself: packets get lost, and nobody says so. */
  #fellSilent(): void {
    this.#say('it does not answer in time');
    if (++this.#silent < silentMax) return;
    this.#silent = 0;
    this.#client.disconnect(true);
  }

  async #count(ask: StoreAsk): Promise<StoreAnswer | null> {
    const { script, args } = scriptOf(ask);
    const commands = this.#client as unknown as Readonly<Record<string, (...args: readonly (string | number)[]) => Promise<unknown>>>;
    try {
      return readAnswer(await commands[script]?.(this.#options.keyPrefix + storeKey(ask), ...args));
    } catch (error) {
      // Somebody else put something under this key: a matter of this key alone.
      if (error instanceof Error && error.message.includes('WRONGTYPE')) {
        this.#say(`${storeKey(ask)} holds something else`);
        return null;
      }
      throw error;
    }
  }

  #say(cause: string | null): void {
    if (cause === this.#trouble) return;
    this.#trouble = cause;
    this.#options.onTrouble(cause);
  }
}

const silentMax = 3;
/** For people who look: nobody's request waits for it. */
const readMs = 2_000;
const notYet = 'not connected yet';

/** `limit:inbound/orders/perIp:2fd4e1c67a2d28fced849ee1bb76e739`: what a count is of can be read, but for what clients sent. */
export function storeKey({ counting, name, identity }: Pick<StoreAsk, 'counting' | 'name' | 'identity'>): string {
  return `${counting === 'total' ? 'quota' : 'limit'}:${name}:${createHash('sha256').update(identity).digest('hex').slice(0, 32)}`;
}

function readAnswer(reply: unknown): StoreAnswer {
  if (!Array.isArray(reply) || reply.length !== 7 || !reply.every((one) => typeof one === 'number')) throw new Error('Redis answers something else than counts');
  const [granted, retryUs, remaining, resetUs, waitUs, validUs, window] = reply as [number, number, number, number, number, number, number];
  return { granted, retryAfterMs: retryUs / 1000, remaining, resetMs: resetUs / 1000, waitMs: waitUs / 1000, validMs: validUs / 1000, window };
}
