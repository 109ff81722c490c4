/**
 * How long calls of one place took lately, in memory that all threads share: counts in buckets that are 19 % wide each, from a quarter of a millisecond to
 * a minute, halved every five seconds, so that what was ten seconds ago counts for a quarter. An answer costs one addition. What a thread that died had
 * counted fades like everything else. Pure: time is given, in monotonic milliseconds.
 */
export class LatencySketch {
  readonly #memory: { readonly buffer: ArrayBufferLike };
  #words: Int32Array | null = null;

  /** `memory.buffer`: `LatencySketch.bytes` of zeros at first; looked at when the first answer comes. */
  constructor(memory: { readonly buffer: ArrayBufferLike }) {
    this.#memory = memory;
  }

  static readonly bytes: number = 512;

  record(ms: number, nowMs: number): void {
    const words = this.#words ??= new Int32Array(this.#memory.buffer, 0, buckets + 1);
    this.#fade(words, nowMs);
    Atomics.add(words, bucketOf(ms), 1);
  }

  /** Milliseconds that this share of the calls did not exceed, at most a bucket too long; null where fewer than `samples` count. */
  quantile(share: number, samples: number, nowMs: number): number | null {
    const words = this.#words ??= new Int32Array(this.#memory.buffer, 0, buckets + 1);
    this.#fade(words, nowMs);
    let total = 0;
    for (let i = 0; i < buckets; i += 1) total += Atomics.load(words, i);
    if (total < samples) return null;
    let seen = 0;
    for (let i = 0; i < buckets; i += 1) {
      seen += Atomics.load(words, i);
      if (seen >= total * share) return upperOf(i);
    }
    return upperOf(buckets - 1);
  }

  /** Whoever wins the word of the period halves the counts, as often as periods have passed. */
  #fade(words: Int32Array, nowMs: number): void {
    const period = Math.floor(nowMs / periodMs) + 1;
    const last = Atomics.load(words, buckets);
    if (period <= last || Atomics.compareExchange(words, buckets, last, period) !== last || last === 0) return;
    const times = Math.min(31, period - last);
    for (let i = 0; i < buckets; i += 1) {
      const count = Atomics.load(words, i);
      Atomics.sub(words, i, count - (count >> times));
    }
  }
}

function bucketOf(ms: number): number {
  return ms <= lowestMs ? 0 : Math.min(buckets - 1, Math.ceil(Math.log2(ms / lowestMs) * perDoubling));
}

function upperOf(bucket: number): number {
  return lowestMs * 2 ** (bucket / perDoubling);
}

const lowestMs = 0.25;
const perDoubling = 4;
const buckets = 73;
const periodMs = 5000;
