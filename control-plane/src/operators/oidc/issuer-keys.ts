import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import { createLocalJWKSet } from 'jose';
import type { JWK, JSONWebKeySet } from 'jose';
import type { ProcessLog } from '../../process-log.ts';
import type { Store } from '../../store/store.ts';
import { fetchIssuerJson } from './issuer-fetch.ts';
import { isAllowedUrl } from './issuer-url.ts';

/** Keys are fetched again after this time … */
const freshMs = 600_000;
/** … and used for this long when the issuer does not answer. */
export const staleMaxMs = 86_400_000;
/** A token with a key that is not known makes one question, and the next one only after this time. */
const unknownEveryMs = 30_000;
const checkEveryMs = 60_000;
const keysMax = 100;
const namespace = 'operators.issuer';

export type KeySet = ReturnType<typeof createLocalJWKSet>;

export interface IssuerKeysDeps {
  readonly issuer: string;
  readonly store: Pick<Store, 'records' | 'putRecords'>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: ProcessLog;
}

/** The signing keys of one issuer, by OpenID Connect Discovery: fetched at the start, again every ten minutes, and kept over an outage of the issuer and restarts of ours. */
export class IssuerKeys {
  readonly #deps: IssuerKeysDeps;
  readonly #timer: Timer;
  readonly #listeners = new Set<() => void>();
  #keys: { readonly set: KeySet; readonly ids: ReadonlySet<string>; readonly fetchedMs: number } | null = null;
  #running: Promise<void> | null = null;
  #problem = '';
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(deps: IssuerKeysDeps) {
    this.#deps = deps;
    const kept = deps.store.records(namespace).get(deps.issuer);
    if (kept && typeof kept['fetchedMs'] === 'number') this.#take(kept['keys'], kept['fetchedMs']);
    void this.#fetch();
    this.#timer = deps.timers.every(checkEveryMs, () => {
      if (this.ageMs >= freshMs) void this.#fetch();
    });
  }

  /** Since the last answer of the issuer; Infinity: none yet. */
  get ageMs(): number {
    return this.#keys ? Math.max(0, this.#deps.clock.wallMs() - this.#keys.fetchedMs) : Number.POSITIVE_INFINITY;
  }

  /** Why the last question was in vain; '' where it was not. */
  get problem(): string {
    return this.#problem;
  }

  /** Waits for the first answer where there is none yet; null where there are no keys that may be used. */
  async current(): Promise<KeySet | null> {
    if (!this.#keys) await this.#soon();
    return this.#keys !== null && this.ageMs <= staleMaxMs ? this.#keys.set : null;
  }

  /** For a key that is not known: asks the issuer, not too often. */
  async withKey(id: string | undefined): Promise<KeySet | null> {
    if (id !== undefined && !this.#keys?.ids.has(id)) await this.#soon();
    return this.current();
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  close(): void {
    this.#timer.cancel();
    this.#listeners.clear();
  }

  #soon(): Promise<void> {
    if (this.#running) return this.#running;
    if (this.#deps.clock.monotonicMs() - this.#askedMs < unknownEveryMs) return Promise.resolve();
    return this.#fetch();
  }

  #fetch(): Promise<void> {
    this.#askedMs = this.#deps.clock.monotonicMs();
    this.#running ??= this.#ask().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #ask(): Promise<void> {
    const { issuer, clock, store, log } = this.#deps;
    try {
      const described = await fetchIssuerJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
      // OpenID Connect Discovery 1.0 section 4.3: another name is another issuer.
      if (described['issuer'] !== issuer) throw new Error(`it calls itself ${JSON.stringify(described['issuer']).slice(0, 200)}, and not ${issuer}`);
      const where = described['jwks_uri'];
      if (typeof where !== 'string' || !isAllowedUrl(where)) throw new Error('its jwks_uri is none that is asked');
      const { keys } = await fetchIssuerJson(where);
      const fetchedMs = clock.wallMs();
      if (!this.#take(keys, fetchedMs)) throw new Error('it has no keys that sign');
      if (this.#problem !== '') log.info('the issuer of operators answers again', { issuer });
      this.#problem = '';
      store.putRecords(namespace, new Map([[issuer, { fetchedMs, keys: usable(keys) as unknown as JsonObject[] }]]));
    } catch (error) {
      const problem = (error as Error).message;
      if (problem !== this.#problem) log.warn('the issuer of operators gives no keys; those it gave last are used for a day', { issuer, problem, ageMs: Number.isFinite(this.ageMs) ? this.ageMs : -1 });
      this.#problem = problem;
    }
  }

  #take(keys: unknown, fetchedMs: number): boolean {
    const taken = usable(keys);
    if (taken.length === 0) return false;
    const set: JSONWebKeySet = { keys: taken };
    this.#keys = { set: createLocalJWKSet(set), ids: new Set(taken.flatMap(({ kid }) => (kid === undefined ? [] : [kid]))), fetchedMs };
    for (const listener of this.#listeners) listener();
    return true;
  }
}

/** Public keys that sign. A symmetric one would let everybody who reads it sign (RFC 8725 section 3.1). */
function usable(keys: unknown): JWK[] {
  if (!Array.isArray(keys)) return [];
  return keys.slice(0, keysMax).filter((key: unknown): key is JWK => {
    if (typeof key !== 'object' || key === null) return false;
    const { kty, use, d, k } = key as Partial<JWK>;
    return (kty === 'RSA' || kty === 'EC' || kty === 'OKP') && (use === undefined || use === 'sig') && d === undefined && k === undefined;
  });
}
