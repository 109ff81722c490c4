/**
 * The window of a stream whose body is long: it doubles as long as it is what holds the peer back, and as doubling makes the body come faster. Before the
 * first half of a usual window has been consumed there is none of these.
 */
export class StreamWindow {
  /** Its full size. */
  bytes: number;
  /** Bytes by which it shrank, that are still to be kept when the consumer takes them. */
  debt = 0;
  readonly #usual: number;
  /** Where the stretch that is measured began, in time and in bytes received. */
  #since: number;
  #from: number;
  /** Bytes in a millisecond when it last grew. */
  #rate = 0;
  #overfullSince = -1;

  constructor(usual: number, now: number, receivedBytes: number) {
    this.bytes = usual;
    this.#usual = usual;
    this.#since = now;
    this.#from = receivedBytes;
  }

  /** No more than a usual window waits. */
  eased(): void {
    this.#overfullSince = -1;
  }

  get extra(): number {
    return this.bytes - this.#usual;
  }

  /** By how much it should grow, up to `bytesMax`; `grow` where it may. 0: it is large enough, or that is not known yet. */
  wants(receivedBytes: number, now: number, roundTripMs: number, bytesMax: number): number {
    const elapsed = now - this.#since;
    // Within one round trip bytes come in bursts: only over a whole one there is a rate.
    if (roundTripMs < roundTripMin || elapsed < roundTripMs) return 0;
    const rate = (receivedBytes - this.#from) / elapsed;
    this.#since = now;
    this.#from = receivedBytes;
    const inUse = rate * roundTripMs;
    if (this.debt > 0 || inUse * 2 < this.bytes || rate < this.#rate * gainMin) return 0;
    this.#rate = rate;
    return Math.min(this.bytes, bytesMax - this.bytes);
  }

  grow(bytes: number): void {
    this.bytes += bytes;
  }

  /**
   * More than a usual window waits for the consumer. For a whole round trip: it is slower than the way, and the window halves. Answers by how much. For
   * less, it was a burst.
   */
  overfull(now: number, roundTripMs: number): number {
    if (this.#overfullSince < 0) this.#overfullSince = now;
    if (this.debt > 0 || now - this.#overfullSince < roundTripMs) return 0;
    this.#overfullSince = now;
    const by = this.bytes - Math.max(this.#usual, this.bytes >> 1);
    this.bytes -= by;
    this.debt += by;
    return by;
  }
}

/** Milliseconds: on shorter ways the usual window is no limit, and time is not measured so finely. */
const roundTripMin = 3;
/** A doubled window that does not bring this much more was not what held the peer back. */
const gainMin = 1.25;
