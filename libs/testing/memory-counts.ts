import type { Clock } from '@remora/core/clock';
import { encodeStoreFact } from '@remora/policy-kit/store/store-line';
import { decodeAsks, encodeAnswers, storeFactKind, storeFactName, type StoreAnswer, type StoreAsk } from '@remora/policy-kit/store/store-questions';
import type { FactBooks } from '@remora/policy-kit/facts';

/** The store of the Mesh in memory, for filters of tests: the countings as they are in Redis, on a clock that is given. Several sidecars may share one. */
export class MemoryCounts {
  readonly #clock: Pick<Clock, 'wallMs'>;
  readonly #values = new Map<string, { a: number; b: number; c: number }>();
  /** Questions answered, without those that give back. */
  asked = 0;
  /** Says nothing. */
  away = false;

  constructor(clock: Pick<Clock, 'wallMs'>) {
    this.#clock = clock;
  }

  /** Tells filters that there is a store. */
  announce(books: FactBooks, deadlineMs = 10): void {
    books.apply({ kind: storeFactKind, full: true, facts: new Map([[storeFactName, encodeStoreFact(deadlineMs)]]) });
  }

  answer(body: Uint8Array): Uint8Array | null {
    if (this.away) return null;
    const asks = decodeAsks(body);
    if (asks.some(({ want }) => want > 0)) this.asked += 1;
    return encodeAnswers(asks.map((ask) => this.take(ask)));
  }

  take(ask: StoreAsk): StoreAnswer {
    const key = `${ask.counting}/${ask.name}/${ask.identity}`;
    let value = this.#values.get(key);
    if (value === undefined) this.#values.set(key, value = { a: 0, b: 0, c: 0 });
    const nowMs = this.#clock.wallMs();
    switch (ask.counting) {
      case 'bucket':
      case 'queue': return bucket(value, ask, nowMs);
      case 'fixed': return fixed(value, ask, nowMs);
      case 'sliding': return sliding(value, ask, nowMs);
      case 'total': return total(value, ask);
    }
  }
}

interface Value {
  a: number;
  b: number;
  c: number;
}

const refused: StoreAnswer = { granted: 0, retryAfterMs: 0, remaining: 0, resetMs: 0, waitMs: 0, validMs: Number.MAX_SAFE_INTEGER };

function bucket(value: Value, { counting, requests, perMs, burst, cost, want }: StoreAsk, nowMs: number): StoreAnswer {
  const interval = perMs / requests;
  const depth = (counting === 'queue' ? burst + 1 : burst) * interval;
  const tat = Math.min(Math.max(value.a, nowMs), nowMs + depth);
  if (want < 0) {
    value.a = Math.max(nowMs, tat + want * interval);
    return refused;
  }
  const room = (nowMs + depth - tat) / interval + 1e-3;
  if (room < cost) return { ...refused, retryAfterMs: (cost - room + 1e-3) * interval, resetMs: tat - nowMs };
  const granted = Math.min(want, Math.floor(room));
  value.a = tat + granted * interval;
  return { ...refused, granted, remaining: Math.floor(room) - granted, resetMs: value.a - nowMs, waitMs: tat - nowMs };
}

function fixed(value: Value, { requests, perMs, cost, want, window: given = 0 }: StoreAsk, nowMs: number): StoreAnswer {
  const window = Math.floor(nowMs / perMs);
  const leftMs = (window + 1) * perMs - nowMs;
  if (want < 0 && given > 0 && given < window) return refused;
  const used = value.a === window ? value.b : 0;
  value.a = window;
  if (want < 0) {
    value.b = Math.max(0, used + want);
    return refused;
  }
  const granted = used + cost <= requests ? Math.min(want, requests - used) : 0;
  value.b = used + granted;
  return { ...refused, granted, retryAfterMs: granted > 0 ? 0 : leftMs, remaining: requests - value.b, resetMs: leftMs, validMs: leftMs, window };
}

function sliding(value: Value, { requests, perMs, cost, want, window: given = 0 }: StoreAsk, nowMs: number): StoreAnswer {
  const window = Math.floor(nowMs / perMs);
  const passed = nowMs / perMs - window;
  const [current, previous] = value.a === window ? [value.b, value.c] : value.a === window - 1 ? [0, value.b] : [0, 0];
  if (want < 0 && given > 0 && given < window) {
    if (given === window - 1) Object.assign(value, { a: window, b: current, c: Math.max(0, previous + want) });
    return refused;
  }
  const used = current + previous * (1 - passed);
  const granted = want < 0 ? Math.max(want, -current) : used + cost <= requests + 1e-9 ? Math.min(want, Math.floor(requests - used + 1e-9)) : 0;
  Object.assign(value, { a: window, b: current + granted, c: previous });
  if (want < 0) return refused;
  const room = requests - cost;
  const periods = current <= room && previous > 0 ? 1 - (room - current) / previous - passed : 1 - passed + (current > room ? 1 - room / current : 0);
  return { ...refused, granted, retryAfterMs: granted > 0 ? 0 : periods * perMs, remaining: Math.max(0, Math.floor(requests - used - granted)), resetMs: (2 - passed) * perMs, validMs: perMs, window };
}

function total(value: Value, { requests, cost, want }: StoreAsk): StoreAnswer {
  const granted = want < 0 ? Math.max(want, -value.a) : value.a + cost <= requests ? Math.min(want, requests - value.a) : 0;
  value.a += granted;
  return { ...refused, granted: Math.max(0, granted), remaining: Math.max(0, requests - value.a) };
}
