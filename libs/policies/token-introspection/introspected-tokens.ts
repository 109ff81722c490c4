import type { Json } from '@remora/core/canonical-json';
import type { Exchange } from '@remora/policy-kit/exchange';
import type { FactBook } from '@remora/policy-kit/facts';
import { TokenCache, type SeenToken } from '@remora/policy-kit/tokens/token-cache';
import type { IntrospectionAnswer } from '@remora/policy-kit/tokens/introspection-question';
import type { TokenIntrospectionSettings } from './wire.ts';

/** What an endpoint said about a token, also that it is not active. */
export interface IntrospectedToken extends SeenToken {
  /** Without a prototype. */
  readonly claims: Readonly<Record<string, Json>>;
  /** Monotonic milliseconds. */
  readonly untilMs: number;
}

/** null: in shadow nobody waits. */
export type IntrospectionWaiter = {
  readonly x: Exchange;
  readonly token: number;
  readonly resume: (x: Exchange, token: number, answer: IntrospectionAnswer) => void;
} | null;

/** Answers of one endpoint to one client that one data thread remembers, over snapshots; and the questions that are under way. */
export class IntrospectedTokens {
  readonly #cache = new TokenCache<IntrospectedToken>();
  readonly #asked = new Map<string, IntrospectionWaiter[]>();
  readonly #cacheMs: number;
  readonly #rejectedMs: number;
  #waiting = 0;

  /** The same for all policies that ask alike. */
  static of(book: FactBook, settings: TokenIntrospectionSettings): IntrospectedTokens {
    let all = byBook.get(book);
    if (all === undefined) byBook.set(book, all = new Map());
    const { endpoint, allowPrivateAddresses, clientId, clientSecret, cacheMs, rejectedMs } = settings;
    const name = JSON.stringify([endpoint, allowPrivateAddresses, clientId, clientSecret, cacheMs, rejectedMs]);
    let tokens = all.get(name);
    if (tokens === undefined) {
      // Endpoints come and go with policies; those of long ago are forgotten first.
      const [oldest] = all.keys();
      if (all.size >= endpointsMax && oldest !== undefined) all.delete(oldest);
      all.set(name, tokens = new IntrospectedTokens(cacheMs, rejectedMs));
    }
    return tokens;
  }

  private constructor(cacheMs: number, rejectedMs: number) {
    this.#cacheMs = cacheMs;
    this.#rejectedMs = rejectedMs;
  }

  get(text: string, nowMs: number): IntrospectedToken | undefined {
    const found = this.#cache.get(text);
    if (found === undefined || nowMs < found.untilMs) return found;
    this.#cache.delete(found);
    return undefined;
  }

  /** Whom to join; empty: nobody has asked yet. null: too many wait. */
  join(text: string): IntrospectionWaiter[] | null {
    const known = this.#asked.get(text);
    if (this.#waiting >= waitingMax) return null;
    this.#waiting++;
    if (known !== undefined) return known;
    const waiters: IntrospectionWaiter[] = [];
    this.#asked.set(text, waiters);
    return waiters;
  }

  /** The question is over. */
  take(text: string): IntrospectionWaiter[] {
    const waiters = this.#asked.get(text) ?? [];
    this.#asked.delete(text);
    this.#waiting -= Math.max(1, waiters.length);
    return waiters;
  }

  /** Never longer than the token itself holds. */
  keep(text: string, claims: Readonly<Record<string, Json>>, now: { readonly monotonicMs: number; readonly wallMs: number }): void {
    const { active, exp } = claims;
    const endsInMs = typeof exp === 'number' ? exp * 1000 - now.wallMs : Number.POSITIVE_INFINITY;
    const forMs = active === true ? Math.min(this.#cacheMs, endsInMs) : this.#rejectedMs;
    if (forMs > 0) this.#cache.put({ text, used: false, claims, untilMs: now.monotonicMs + forMs });
  }
}

const byBook = new WeakMap<FactBook, Map<string, IntrospectedTokens>>();
const endpointsMax = 64;
/** Requests of one thread that may wait for one endpoint. */
const waitingMax = 2048;
