import type { Clock } from '@remora/core/clock';
import type { ExchangeRun } from './exchange-run.ts';

/** Which requests somebody wants to see as they end. What is left out is any. */
export interface TapFilter {
  readonly side?: string;
  readonly method?: string;
  /** Exactly this path, or what is below it. */
  readonly path?: string;
  /** `503`, or a class such as `5xx`. */
  readonly status?: string;
}

/** A look at what has ended since the last one of the same `id`; the first one begins it. */
export interface TapAsk {
  readonly id: string;
  readonly filter: TapFilter;
}

export interface TapAnswer {
  readonly requests: readonly TappedRequest[];
  /** Requests that matched and found no room: very many ended between two looks. */
  readonly skipped: number;
}

/** One request that has ended. Never a header, a body or a query. */
export interface TappedRequest {
  readonly atMs: number;
  readonly side: string;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly route: string;
  readonly destination: string;
  readonly upstream: string;
  readonly status: number;
  /** -1: none. */
  readonly grpcStatus: number;
  /** Why Remora refused it or gave it up; '' where it did not. */
  readonly reason: string;
  readonly attempts: number;
  readonly durationMs: number;
  readonly requestId: string;
  /** SPIFFE id of the caller, else its address. */
  readonly caller: string;
}

interface OpenTap {
  readonly filter: TapFilter;
  requests: TappedRequest[];
  skipped: number;
  lookedAtMs: number;
}

/** `taps_open` goes up and down again; `taps_skipped`: requests that found no room. */
export type CountTaps = (name: 'taps_open' | 'taps_skipped', by: number) => void;

/** What people look at in one data thread. While nobody does there is none of these (`Engine.taps` is null). */
export class RequestTaps {
  readonly #clock: Clock;
  readonly #count: CountTaps;
  readonly #open = new Map<string, OpenTap>();

  constructor(clock: Clock, count: CountTaps) {
    this.#clock = clock;
    this.#count = count;
  }

  get empty(): boolean {
    return this.#open.size === 0;
  }

  /** null: there are so many taps already. */
  look({ id, filter }: TapAsk): TapAnswer | null {
    this.sweep();
    const known = this.#open.get(id);
    if (known === undefined) {
      if (this.#open.size >= tapsMax) return null;
      this.#open.set(id, { filter, requests: [], skipped: 0, lookedAtMs: this.#clock.monotonicMs() });
      this.#count('taps_open', 1);
      return { requests: [], skipped: 0 };
    }
    const { requests, skipped } = known;
    known.requests = [];
    known.skipped = 0;
    known.lookedAtMs = this.#clock.monotonicMs();
    return { requests, skipped };
  }

  /** Taps that nobody looks at any more end. */
  sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { lookedAtMs }] of this.#open) {
      if (nowMs - lookedAtMs <= forgottenMs) continue;
      this.#open.delete(id);
      this.#count('taps_open', -1);
    }
  }

  /** The request has ended. */
  see(run: ExchangeRun): void {
    let seen: TappedRequest | null = null;
    for (const tap of this.#open.values()) {
      if (!matches(tap.filter, run)) continue;
      if (tap.requests.length >= waitingMax) {
        tap.skipped += 1;
        this.#count('taps_skipped', 1);
      } else tap.requests.push(seen ??= tapped(run, this.#clock.wallMs()));
    }
  }
}

function matches({ side, method, path, status }: TapFilter, { pin, head, askedPath, status: answered }: ExchangeRun): boolean {
  return (side === undefined || side === pin.side)
    && (method === undefined || method === head.method)
    && (path === undefined || isBelow(path, head.path) || (askedPath !== null && isBelow(path, askedPath)))
    && (status === undefined || (status.endsWith('xx') ? Math.floor(answered / 100) === Number(status[0]) : answered === Number(status)));
}

function isBelow(prefix: string, path: string): boolean {
  return path === prefix || path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);
}

function tapped(run: ExchangeRun, atMs: number): TappedRequest {
  const { pin, head, connection, refusal } = run;
  return {
    atMs, side: pin.side, method: head.method.slice(0, 32), authority: (run.askedAuthority ?? head.authority).slice(0, textMax), path: (run.askedPath ?? head.path).slice(0, textMax), route: pin.route,
    destination: run.destination, upstream: run.upstream, status: run.status, grpcStatus: run.grpcStatus, reason: refusal?.reason.code ?? '', attempts: run.attempts,
    durationMs: Math.round((run.endedAt - run.startedAt) * 100) / 100, requestId: run.requestId, caller: connection.principal === '' ? run.clientAddress : connection.principal,
  };
}

export const tapsMax = 4;
/** Of one tap in one thread, between two looks. */
const waitingMax = 100;
const forgottenMs = 5_000;
const textMax = 256;

/** What several threads say to one look. Throws where one of them has too many taps. */
export function joinLooks(looks: readonly (TapAnswer | null)[]): TapAnswer {
  if (looks.includes(null)) throw new Error(`${tapsMax} people look at the requests of this sidecar already`);
  const given = looks.filter((look) => look !== null);
  return { requests: given.flatMap(({ requests }) => requests).sort((a, b) => a.atMs - b.atMs), skipped: given.reduce((sum, { skipped }) => sum + skipped, 0) };
}
