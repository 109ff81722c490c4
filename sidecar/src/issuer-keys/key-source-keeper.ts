import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { FetchedKeys } from '@remora/policy-jwt/wire';
import { encodeKeySet } from '@remora/policy-kit/tokens/issuer-keys';
import { Backoff } from '../config/backoff.ts';
import type { HelperClient } from '../helpers/helper-client.ts';
import { fetchIssuerKeys } from './fetch-issuer-keys.ts';

export interface KeySourceOptions {
  readonly client: HelperClient;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  /** Keys that are to be used from now on. */
  readonly use: (body: Uint8Array) => Promise<void>;
  /** They were fetched, or have become too old, or could not be had. */
  readonly onChange: (change: KeyChange) => void;
}

export type KeyChange = 'fetched' | 'failed' | 'expired';

/**
 * The keys of one issuer: fetched again before they are stale, at once when a token names one that is not among them, and more and more rarely while the issuer does
 * not answer. What was good stays in use until its age is over. Nothing here touches another issuer.
 */
export class KeySourceKeeper {
  readonly #options: KeySourceOptions;
  readonly #backoff: Backoff;
  #source: FetchedKeys;
  #body: Uint8Array | null = null;
  /** Monotonic milliseconds at which the keys were fetched; before the start for those of the disk. */
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #fetchedWallMs = 0;
  #expired = false;
  #problem: { readonly code: string; readonly message: string } | null = null;
  #failures = 0;
  #fetching: Promise<void> | null = null;
  #refetchFrom = Number.NEGATIVE_INFINITY;
  #timer: Timer | null = null;
  #closed = false;

  constructor(source: FetchedKeys, options: KeySourceOptions) {
    this.#source = source;
    this.#options = options;
    this.#backoff = new Backoff({ random: options.random, baseMs: retryBaseMs, capMs: retryCapMs });
  }

  get issuer(): string {
    return this.#source.issuer;
  }

  /** null: none were ever there. */
  get ageMs(): number | null {
    return this.#body === null ? null : Math.max(0, this.#options.clock.monotonicMs() - this.#fetchedAt);
  }

  get usable(): boolean {
    return this.#body !== null && !this.#expired;
  }

  get problem(): { readonly code: string; readonly message: string } | null {
    return this.#problem;
  }

  get failures(): number {
    return this.#failures;
  }

  /** null: nothing to keep. */
  get stored(): { readonly body: Uint8Array; readonly fetchedAtMs: number } | null {
    return this.#body === null ? null : { body: this.#body, fetchedAtMs: this.#fetchedWallMs };
  }

  /** Another policy believes keys for another time. */
  follow(source: FetchedKeys): void {
    const sooner = source.maxAgeMs !== this.#source.maxAgeMs;
    this.#source = source;
    if (sooner && this.#body !== null && this.#fetching === null) this.#plan(0);
  }

  /** Keys of the disk, as old as they are; they are fetched again soon. What is older than its issuer's keys may be is not used. */
  async restore(body: Uint8Array, fetchedAtMs: number): Promise<void> {
    const ageMs = Math.max(0, this.#options.clock.wallMs() - fetchedAtMs);
    if (this.#body !== null || ageMs >= this.#source.maxAgeMs) return;
    this.#body = body;
    this.#fetchedWallMs = fetchedAtMs;
    this.#fetchedAt = this.#options.clock.monotonicMs() - ageMs;
    await this.#options.use(body);
  }

  start(): void {
    if (this.#fetching === null && this.#timer === null) void this.#fetch();
  }

  /** Fetches now, unless that was done a moment ago; resolves when newer keys are in use, or it is known that there are none. False: not asked. */
  async refetch(): Promise<boolean> {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#fetching === null) {
      if (nowMs < this.#refetchFrom) return false;
      void this.#fetch();
    }
    await this.#fetching;
    return true;
  }

  /** Resolves when the first keys are there, or the first try has failed. */
  async firstTry(): Promise<void> {
    if (this.#body === null && this.#failures === 0) await this.#fetching;
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #fetch(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    // Data threads that cannot be told are on their way out; whoever comes after them is told in time.
    this.#fetching = this.#fetchOnce().catch(() => this.#plan(retryBaseMs)).finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #fetchOnce(): Promise<void> {
    const { client, clock } = this.#options;
    this.#refetchFrom = clock.monotonicMs() + refetchEveryMs;
    const fetched = await fetchIssuerKeys(client, this.#source);
    if (this.#closed) return;
    if (!fetched.ok) return this.#fail(fetched);
    const changed = this.#body === null || this.#expired || Buffer.compare(this.#body, fetched.body) !== 0;
    this.#body = fetched.body;
    this.#fetchedAt = clock.monotonicMs();
    this.#fetchedWallMs = clock.wallMs();
    this.#expired = false;
    this.#failures = 0;
    this.#problem = null;
    this.#backoff.reset();
    if (changed) await this.#options.use(fetched.body);
    this.#options.onChange('fetched');
    // Not all sidecars at once.
    this.#plan(Math.min(fetched.freshMs, this.#source.maxAgeMs / 2) * (0.8 + 0.2 * this.#options.random.next()));
  }

  async #fail(problem: { readonly code: string; readonly message: string }): Promise<void> {
    this.#failures++;
    this.#problem = problem;
    this.#options.onChange('failed');
    const leftMs = this.#body === null || this.#expired ? Number.POSITIVE_INFINITY : this.#source.maxAgeMs - (this.ageMs ?? 0);
    if (leftMs <= 0) {
      this.#expired = true;
      await this.#options.use(encodeKeySet([]));
      this.#options.onChange('expired');
    }
    // The end of their age is not slept through.
    this.#plan(Math.min(this.#backoff.next(), leftMs <= 0 ? Number.POSITIVE_INFINITY : leftMs + 1));
  }

  #plan(afterMs: number): void {
    if (this.#closed) return;
    this.#timer?.cancel();
    this.#timer = this.#options.timers.after(afterMs, () => {
      this.#timer = null;
      void this.#fetch();
    });
  }
}

const retryBaseMs = 1_000;
const retryCapMs = 60_000;
/** Tokens with unknown keys make it ask no more often than that. */
const refetchEveryMs = 10_000;
