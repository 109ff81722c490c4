import type { Head } from '@remora/http/head';
import type { Sink } from './exchange.ts';
import type { LiveState } from './runtime-kind.ts';
import { SlabPool, type Piece } from './slab-pool.ts';

/**
 * What was sent of a request body, to be sent again: by a further attempt, a hedge, a fallback, a mirror. Bytes are copied (they are borrowed for the call
 * that brings them) into slabs, up to a bound; beyond it everything is let go and the body cannot be sent again.
 */
export class ReplayBuffer {
  /** Nothing has been lost: all of it can be sent again. */
  whole = true;
  /** The body came to its end. */
  ended = false;
  readonly #bytesMax: number;
  #recording: Recording;
  #bytes = 0;
  #trailers: Head | null = null;

  constructor(bytesMax: number, pool: SlabPool) {
    this.#bytesMax = bytesMax;
    this.#recording = new Recording(pool);
  }

  /** Nothing to play. */
  get empty(): boolean {
    return this.#bytes === 0 && !this.ended;
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#bytes;
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
    const from = this.#recording.pieces.length;
    this.ended ||= end;
    if (to > at) this.#keep(bytes, at, to);
    return new Player(this.#recording, this, from);
  }

  holdTrailers(head: Head): Player {
    this.ended = true;
    this.#trailers = head;
    return new Player(this.#recording, this, this.#recording.pieces.length);
  }

  get trailers(): Head | null {
    return this.#trailers;
  }

  /** The body cannot be sent again from here on. Players go on with what they have. */
  drop(): void {
    this.whole = false;
    this.#bytes = 0;
    this.#recording.leave();
    this.#recording = new Recording(this.#recording.pool);
  }

  player(): Player {
    return new Player(this.#recording, this, 0);
  }

  #keep(bytes: Uint8Array, at: number, to: number): void {
    this.#recording.add(bytes, at, to);
    this.#bytes += to - at;
  }
}

/** The slabs of a thread, for all layers that keep bodies. */
export function bodySlabs(live: LiveState): SlabPool {
  return live.keep('bodySlabs', '', () => new SlabPool());
}

/** Pieces with their users: the buffer that writes, and players. They are given back when the last one leaves. */
class Recording {
  readonly pool: SlabPool;
  pieces: readonly Piece[] = noPieces;
  #users = 1;

  constructor(pool: SlabPool) {
    this.pool = pool;
  }

  add(bytes: Uint8Array, at: number, to: number): void {
    if (this.pieces === noPieces) this.pieces = [];
    this.pool.keep(bytes, at, to, this.pieces as Piece[]);
  }

  join(): void {
    this.#users += 1;
  }

  leave(): void {
    this.#users -= 1;
    if (this.#users === 0 && this.pieces.length > 0) this.pool.giveBack(this.pieces);
  }
}

/** Plays a buffer into the sink of one attempt, as far as that one takes it. What is held meanwhile is played too. */
export class Player {
  readonly #recording: Recording;
  readonly #buffer: ReplayBuffer;
  #next: number;
  #endSent = false;
  #left = false;

  constructor(recording: Recording, buffer: ReplayBuffer, from: number) {
    this.#recording = recording;
    this.#buffer = buffer;
    this.#next = from;
    recording.join();
  }

  /** Everything that was recorded has been played, the end included. */
  get done(): boolean {
    return this.#next >= this.#recording.pieces.length && (!this.#buffer.ended || this.#endSent);
  }

  /** True: the sink wants more. */
  play(into: Sink): boolean {
    const { pieces } = this.#recording;
    const { trailers } = this.#buffer;
    if (this.#left) return false;
    while (this.#next < pieces.length) {
      const { slab, at, to } = pieces[this.#next] as Piece;
      this.#next += 1;
      this.#endSent = this.#buffer.ended && trailers === null && this.#next === pieces.length;
      if (!into.data(slab.bytes, at, to, this.#endSent) || this.#left) return false;
    }
    if (this.#buffer.ended && !this.#endSent) {
      this.#endSent = true;
      if (trailers === null) into.data(nothing, 0, 0, true);
      else into.trailers(trailers);
    }
    return true;
  }

  /** Nothing more is played. Once `done`, or when nobody wants it any more. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#recording.leave();
  }
}

const noPieces: readonly Piece[] = Object.freeze([]);
const nothing = new Uint8Array(0);
