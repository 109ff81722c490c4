import type { MessageHead } from '@remora/http/message-head';
import type { HeldBody } from '@remora/policy-kit/exchange';
import type { HeldBytes } from './held-bytes.ts';
import type { Deferred, Turn } from '../io/turn.ts';

/**
 * Holds a request body back from upstream: gathers as much of it as a filter wants to see, and plays it into the call when that is made, as far as it is
 * taken at a time. Bytes are copied once, here; what follows them comes from the client as usual.
 */
export class BodyHold implements HeldBody, Deferred {
  length = 0;
  complete = false;
  trailers: MessageHead | null = null;
  /** A filter waits for more. */
  gathering = false;
  readonly #owner: HoldOwner;
  readonly #turn: Turn;
  readonly #budget: HeldBytes;
  /** What the head says of the body's length; -1: nothing. */
  readonly #expected: number;
  /** All but the last one are full. */
  #parts: Uint8Array[] = [];
  /** Bytes of the last part that are free. */
  #room = 0;
  /** Bytes of memory, of which the budget knows. */
  #taken = 0;
  #wanted = 0;
  /** Part to be played next. */
  #next = 0;
  #due = false;
  #over = false;

  constructor(owner: HoldOwner, expected: number, { turn, budget }: { readonly turn: Turn; readonly budget: HeldBytes }) {
    this.#owner = owner;
    this.#expected = expected;
    this.#turn = turn;
    this.#budget = budget;
  }

  /** Whether more has to come until there are `bytes`, or all. */
  gather(bytes: number): boolean {
    this.#wanted = Math.max(1, bytes);
    this.gathering = !this.#enough();
    return this.gathering;
  }

  /** False: there is no room for it in memory. All bytes are taken either way. */
  add(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    const fits = Math.min(this.#room, to - at);
    if (fits > 0) this.#fill(bytes, at, at + fits);
    if (at + fits < to) {
      if (!this.#grow(to - at - fits)) return false;
      this.#fill(bytes, at + fits, to);
    }
    this.complete ||= end;
    this.gathering = !this.#enough();
    return true;
  }

  end(trailers: MessageHead): void {
    this.trailers = trailers;
    this.complete = true;
    this.gathering = false;
  }

  #enough(): boolean {
    return this.complete || this.length >= this.#wanted;
  }

  #fill(bytes: Uint8Array, at: number, to: number): void {
    const part = this.#parts.at(-1) as Uint8Array;
    part.set(bytes.subarray(at, to), part.length - this.#room);
    this.#room -= to - at;
    this.length += to - at;
  }

  /** A client that says that much will come gets memory for what has come, and a little ahead of it. */
  #grow(needed: number): boolean {
    const ahead = Math.min(partMax, Math.max(partMin, this.length));
    const rest = this.#expected < 0 ? ahead : Math.min(ahead, this.#expected - this.length);
    const size = Math.max(needed, rest);
    if (!this.#budget.take(size)) return false;
    this.#taken += size;
    this.#parts.push(Buffer.allocUnsafe(size));
    this.#room = size;
    return true;
  }

  // --- for filters ------------------------------------------------------------------------------------------------

  bytes(max: number): Uint8Array {
    const wanted = Math.min(max, this.length);
    const [first] = this.#parts;
    if (first === undefined) return noBytes;
    return wanted <= first.length ? first.subarray(0, wanted) : Buffer.concat(this.#parts, wanted);
  }

  // --- upstream ---------------------------------------------------------------------------------------------------

  /** More is wanted by the call. */
  resume(): void {
    if (this.#due || this.#over) return;
    this.#due = true;
    this.#turn.later(this);
  }

  runLater(): void {
    this.#due = false;
    while (!this.#over && this.#next < this.#parts.length) {
      const last = this.#next === this.#parts.length - 1;
      const end = last && this.complete && this.trailers === null;
      const part = this.#parts[this.#next] as Uint8Array;
      this.#parts[this.#next++] = noBytes;
      const more = this.#owner.playHeld(part, 0, last ? part.length - this.#room : part.length, end);
      if (end) this.#played();
      else if (!more) return;
    }
    if (this.#over) return;
    if (!this.complete) this.#played();
    else if (this.trailers === null) this.#owner.playHeld(noBytes, 0, 0, true);
    else this.#owner.playHeldTrailers(this.trailers);
    if (this.complete) this.#played();
    else this.#owner.resume();
  }

  #played(): void {
    if (this.#over) return;
    this.drop();
    this.#owner.heldPlayed();
  }

  /** Nobody needs it any more. */
  drop(): void {
    this.#over = true;
    this.gathering = false;
    this.#parts = [];
    this.#budget.give(this.#taken);
    this.#taken = 0;
  }
}

/** The exchange. */
export interface HoldOwner {
  /** As `Sink.data`. */
  playHeld(bytes: Uint8Array, at: number, to: number, end: boolean): boolean;
  playHeldTrailers(trailers: MessageHead): void;
  /** Everything held has been played: what follows comes from the client. */
  heldPlayed(): void;
  /** Asks the client for what follows. */
  resume(): void;
}

const partMin = 1_024;
const partMax = 16 * 1_024;
const noBytes = new Uint8Array(0);
