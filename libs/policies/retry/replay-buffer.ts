import type { Head } from '@remora/http/head';
import type { Sink } from '@remora/policy-kit/exchange';

/**
 * What was sent of a request body, for a further attempt. Bytes are copied (they are borrowed for the call that brings
 * them) up to a bound; beyond it everything is let go and the request cannot be tried again.
 */
export class ReplayBuffer {
  /** Nothing has been lost: a further attempt can send all of it. */
  whole = true;
  /** The body came to its end. */
  ended = false;
  readonly #bytesMax: number;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #trailers: Head | null = null;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Nothing to play. */
  get empty(): boolean {
    return this.#bytes === 0 && !this.ended;
  }

  /** Bytes that were sent on: kept as far as the bound allows. */
  add(bytes: Uint8Array, at: number, to: number, end: boolean): void {
    this.ended ||= end;
    if (!this.whole || to === at) return;
    if (this.#bytes + (to - at) > this.#bytesMax) this.drop();
    else this.#keep(bytes, at, to);
  }

  /** Bytes were sent on that need not be kept. */
  pass(some: boolean, end: boolean): void {
    this.ended ||= end;
    if (some) this.drop();
  }

  /** Bytes that nobody takes yet: at most one read beyond the bound. Answers a player that starts with them. */
  hold(bytes: Uint8Array, at: number, to: number, end: boolean): Player {
    const from = this.#chunks.length;
    this.ended ||= end;
    if (to > at) this.#keep(bytes, at, to);
    return new Player(this.#chunks, this, from);
  }

  holdTrailers(head: Head): Player {
    this.ended = true;
    this.#trailers = head;
    return new Player(this.#chunks, this, this.#chunks.length);
  }

  get trailers(): Head | null {
    return this.#trailers;
  }

  /** The body cannot be sent again from here on. Players go on with what they have. */
  drop(): void {
    this.whole = false;
    this.#chunks = [];
    this.#bytes = 0;
  }

  player(): Player {
    return new Player(this.#chunks, this, 0);
  }

  #keep(bytes: Uint8Array, at: number, to: number): void {
    this.#chunks.push(Uint8Array.prototype.slice.call(bytes, at, to));
    this.#bytes += to - at;
  }
}

/** Plays a buffer into the sink of one attempt, as far as that one takes it. What is held meanwhile is played too. */
export class Player {
  readonly #chunks: readonly Uint8Array[];
  readonly #buffer: ReplayBuffer;
  #next: number;
  #endSent = false;

  constructor(chunks: readonly Uint8Array[], buffer: ReplayBuffer, from: number) {
    this.#chunks = chunks;
    this.#buffer = buffer;
    this.#next = from;
  }

  /** Everything that was recorded has been played, the end included. */
  get done(): boolean {
    return this.#next >= this.#chunks.length && (!this.#buffer.ended || this.#endSent);
  }

  /** True: the sink wants more. */
  play(into: Sink): boolean {
    const { trailers } = this.#buffer;
    while (this.#next < this.#chunks.length) {
      const chunk = this.#chunks[this.#next] as Uint8Array;
      this.#next += 1;
      this.#endSent = this.#buffer.ended && trailers === null && this.#next === this.#chunks.length;
      if (!into.data(chunk, 0, chunk.length, this.#endSent)) return false;
    }
    if (this.#buffer.ended && !this.#endSent) {
      this.#endSent = true;
      if (trailers === null) into.data(nothing, 0, 0, true);
      else into.trailers(trailers);
    }
    return true;
  }
}

const nothing = new Uint8Array(0);
