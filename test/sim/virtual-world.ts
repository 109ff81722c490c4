import type { Clock, Timer, Timers } from '@remora/core/clock';
import { seededRandom, type Random } from '@remora/core/random';

interface Pending {
  readonly at: number;
  readonly order: number;
  run: (() => void) | null;
}

/**
 * Time, timers and randomness of one simulated run. Nothing waits for real time: the next timer is always due. The same
 * seed on the same commit yields the same run.
 */
export class VirtualWorld implements Clock, Timers {
  readonly random: Random;
  #nowMs = 0;
  #order = 0;
  readonly #heap: Pending[] = [];
  /** Wall clock at the start; steps of the clock change it. */
  #wallOffsetMs = Date.UTC(2026, 0, 1);

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  wallMs(): number {
    return Math.floor(this.#wallOffsetMs + this.#nowMs);
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  /** Steps the wall clock, as an administrator or a bad time server would. */
  stepWallClock(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  after(delayMs: number, run: () => void): Timer {
    const pending: Pending = { at: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#push(pending);
    return { cancel: () => { pending.run = null; } };
  }

  every(intervalMs: number, run: () => void): Timer {
    let cancelled = false;
    let timer: Timer;
    const tick = (): void => {
      if (cancelled) return;
      timer = this.after(intervalMs, tick);
      run();
    };
    timer = this.after(intervalMs, tick);
    return { cancel: () => { cancelled = true; timer.cancel(); } };
  }

  /** Between 0 and `below`. */
  upTo(below: number): number {
    return this.random.next() * below;
  }

  chance(probability: number): boolean {
    return this.random.next() < probability;
  }

  pick<T>(from: readonly T[]): T {
    const item = from[Math.floor(this.random.next() * from.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** Runs everything that is due within the next `forMs` of virtual time. */
  async run(forMs: number): Promise<void> {
    const end = this.#nowMs + forMs;
    let sameInstant = 0;
    await settle();
    for (let next = this.#heap[0]; next !== undefined && next.at <= end; next = this.#heap[0]) {
      this.#pop();
      if (next.run === null) continue;
      sameInstant = next.at === this.#nowMs ? sameInstant + 1 : 0;
      if (sameInstant > sameInstantMax) throw new Error(`more than ${sameInstantMax} events at ${next.at} ms: something turns in a circle`);
      this.#nowMs = next.at;
      const { run } = next;
      next.run = null;
      run();
      await settle();
    }
    this.#nowMs = end;
  }

  /** Runs on until the promise has settled. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = (): void => { settled = true; };
    promise.then(done, done);
    await settle();
    for (let elapsed = 0; !settled && elapsed < 60_000; elapsed += 10) await this.run(10);
    if (!settled) throw new Error('a promise did not settle within a minute of virtual time');
    return promise;
  }

  #push(item: Pending): void {
    const heap = this.#heap;
    let i = heap.push(item) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent] as Pending;
      if (!earlier(item, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = item;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Pending;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && earlier(heap[child + 1] as Pending, heap[child] as Pending)) child += 1;
      if (!earlier(heap[child] as Pending, last)) break;
      heap[i] = heap[child] as Pending;
      i = child;
    }
    heap[i] = last;
  }
}

const sameInstantMax = 10_000;

function earlier(a: Pending, b: Pending): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Lets everything that needs no time happen: chains of promises, and turns of the event loop that they ask for. */
async function settle(): Promise<void> {
  await new Promise((resolve) => { setImmediate(resolve); });
}
