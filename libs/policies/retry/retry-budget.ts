/**
 * How many further attempts the calls of one caller to one destination may get, so that they cannot turn a failure into an overload: a share of the first
 * attempts of the last second, and a small number per second beside that, so that quiet destinations get some too. What is not used of that number is
 * kept for 10 s: an instance that dies takes several calls at once with it, seldom one per third of a second (the reserve of Finagle's and Linkerd's
 * RetryBudget, `minRetriesPerSecond` times `ttl`).
 *
 * It lives in memory that all threads share. It counts what began, not what is under way: nothing has to be given back, and what a thread that died had
 * counted is forgotten after a second like everything else. Pure: time is given, in monotonic milliseconds.
 */
export class RetryBudget {
  readonly #memory: { readonly buffer: ArrayBufferLike };
  #ticks: Int32Array | null = null;
  #times: BigInt64Array | null = null;

  /** `memory.buffer`: `RetryBudget.bytes` of zeros at first; looked at when the first request comes. */
  constructor(memory: { readonly buffer: ArrayBufferLike }) {
    this.#memory = memory;
  }

  static readonly bytes = 128;

  /** A first attempt begins. */
  sent(nowMs: number): void {
    count(this.#ticks ??= new Int32Array(this.#memory.buffer, 0, slots * 2), sentAt, tickOf(nowMs));
  }

  /** Asks for one further attempt. Threads that ask at the same moment are together denied rather than granted too much. */
  take(nowMs: number, { ratio, minPerSecond }: BudgetTerms): boolean {
    const ticks = this.#ticks ??= new Int32Array(this.#memory.buffer, 0, slots * 2);
    const tick = tickOf(nowMs);
    if (ratio > 0) {
      count(ticks, retriedAt, tick);
      if (sum(ticks, retriedAt, tick) <= sum(ticks, sentAt, tick) * ratio) return true;
      uncount(ticks, retriedAt, tick);
    }
    return minPerSecond > 0 && this.#takeReserve(nowMs, minPerSecond);
  }

  /** First and further attempts of the last second, the reserve's not counted. */
  lately(nowMs: number): { readonly sent: number; readonly retried: number } {
    const ticks = this.#ticks ??= new Int32Array(this.#memory.buffer, 0, slots * 2);
    return { sent: sum(ticks, sentAt, tickOf(nowMs)), retried: sum(ticks, retriedAt, tickOf(nowMs)) };
  }

  /** One was denied. True: it is the first in `quietMs`, or was told `tellAgainMs` ago, and the one who asks is to say so. */
  exhausted(nowMs: number): boolean {
    const times = this.#timesOf();
    const now = wholeMs(nowMs);
    const last = Atomics.exchange(times, deniedAt, now);
    const told = Atomics.load(times, toldAt);
    if (last !== 0n && now - last <= quietMs && now - told < tellAgainMs) return false;
    return Atomics.compareExchange(times, toldAt, told, now) === told;
  }

  /** True, once: none was denied for `quietMs`, and whoever asks is to say so. */
  replenished(nowMs: number): boolean {
    const times = this.#timesOf();
    const last = Atomics.load(times, deniedAt);
    return last !== 0n && wholeMs(nowMs) - last > quietMs && Atomics.compareExchange(times, deniedAt, last, 0n) === last;
  }

  /** Whether somebody was denied and nobody has said yet that this is over. */
  get denying(): boolean {
    return Atomics.load(this.#timesOf(), deniedAt) !== 0n;
  }

  /** One word: the time up to which the reserve is used up (GCRA). */
  #takeReserve(nowMs: number, minPerSecond: number): boolean {
    const times = this.#timesOf();
    const now = BigInt(Math.round(nowMs * 1000));
    const step = BigInt(Math.round(1_000_000 / minPerSecond));
    for (;;) {
      const usedTo = Atomics.load(times, reserveAt);
      const from = usedTo > now - keptMicros ? usedTo : now - keptMicros;
      if (from + step > now) return false;
      if (Atomics.compareExchange(times, reserveAt, usedTo, from + step) === usedTo) return true;
    }
  }

  #timesOf(): BigInt64Array {
    return this.#times ??= new BigInt64Array(this.#memory.buffer, slots * 2 * Int32Array.BYTES_PER_ELEMENT, 3);
  }
}

export interface BudgetTerms {
  /** Share of the first attempts. */
  readonly ratio: number;
  /** Further attempts per second that are granted anyway. */
  readonly minPerSecond: number;
}

/** An eighth of a second. */
function tickOf(nowMs: number): number {
  return Math.floor(nowMs / 125);
}

/** Never 0, which stands for never. */
function wholeMs(nowMs: number): bigint {
  return BigInt(Math.round(nowMs) + 1);
}

/** Adds one to the slot of the tick: its tick in the upper 12 bits, the count in the lower 20. Old slots begin anew. */
function count(words: Int32Array, from: number, tick: number): void {
  const at = from + (tick & slotMask);
  const mark = tick & tickMask;
  for (;;) {
    const word = Atomics.load(words, at);
    if (word >>> countBits === mark) {
      Atomics.add(words, at, 1);
      return;
    }
    if (Atomics.compareExchange(words, at, word, (mark << countBits) | 1) === word) return;
  }
}

function uncount(words: Int32Array, from: number, tick: number): void {
  const at = from + (tick & slotMask);
  for (;;) {
    const word = Atomics.load(words, at);
    // Another tick has begun meanwhile: there is nothing left to take back.
    if (word >>> countBits !== (tick & tickMask) || (word & countMask) === 0) return;
    if (Atomics.compareExchange(words, at, word, word - 1) === word) return;
  }
}

/** Over the ticks of the last second. */
function sum(words: Int32Array, from: number, tick: number): number {
  let total = 0;
  for (let slot = 0; slot < slots; slot += 1) {
    const word = Atomics.load(words, from + slot);
    if (((tick - (word >>> countBits)) & tickMask) < slots) total += word & countMask;
  }
  return total;
}

const slots = 8;
const slotMask = slots - 1;
const tickMask = 0xfff;
const countBits = 20;
const countMask = 0xfffff;
const sentAt = 0;
const retriedAt = slots;
const reserveAt = 0;
const deniedAt = 1;
const toldAt = 2;
/** How long an unused attempt of `minPerSecond` is kept. */
const keptMicros = 10_000_000n;
/** Without a denial for so long, the next one is news again. */
const quietMs = 10_000n;
/** While it goes on denying it is told so often; each telling holds for `exhaustedForMs`. */
const tellAgainMs = 20_000n;
export const exhaustedForMs = 40_000;
