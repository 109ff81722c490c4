import { asText, type TextBuffer } from '@remora/http/byte-text';
import type { Link } from './link.ts';
import type { LinkOwner } from './link-owner.ts';
import type { ThreadContext } from './thread-context.ts';
import { WheelNode } from './timer-wheel.ts';
import type { Deferred } from './turn.ts';

/** Where the bytes of a raw connection go. Called within a turn. */
export interface RawConsumer {
  /** `bytes[at, to)` are borrowed for the call. `end`: the peer has ended its side, nothing follows. False: no more until `resume`. */
  take(bytes: Uint8Array, at: number, to: number, end: boolean): boolean;
  /** What was queued for the peer has been written. */
  writable(): void;
  /** The connection is gone, and not because both sides had ended. */
  lost(): void;
}

/**
 * A connection whose bytes nobody looks into: what a codec leaves of its link after a switch of protocols, and a TCP connection from its
 * beginning. Each direction ends on its own. Reading stops while the consumer takes nothing: beyond what came before the start, one read is held.
 */
export class RawLink extends WheelNode implements LinkOwner, Deferred {
  readonly #link: Link;
  readonly #thread: ThreadContext;
  readonly #onGone: () => void;
  #consumer: RawConsumer | null;
  #wanted = false;
  #resuming = false;
  #held: TextBuffer | null = null;
  #readEnded = false;
  #endTold = false;
  #writeEnded = false;
  /** The connection has closed behind the end of both sides, and the consumer has not taken everything: it lives on until it has. */
  #closedEarly = false;
  #aborted = false;
  /** What the kernel had not taken when that was looked at last. */
  #unsent = 0;

  /** Takes the link over. `early`: bytes that came before, owned. `onGone`: the connection is closed, whoever closed it. */
  constructor(link: Link, thread: ThreadContext, consumer: RawConsumer, start: { readonly early: TextBuffer | null; readonly readEnded: boolean; readonly onGone: () => void }) {
    super();
    this.#link = link;
    this.#thread = thread;
    this.#consumer = consumer;
    this.#onGone = start.onGone;
    this.#held = start.early;
    this.#readEnded = start.readEnded;
    link.owner = this;
    // Nobody may say anything for hours: a peer that is gone without a word is noticed all the same.
    link.setKeepAlive(keepAliveMs);
  }

  /** The peer has ended its side, and the consumer knows. */
  get ended(): boolean {
    return this.#endTold;
  }

  get congested(): boolean {
    return this.#link.congested;
  }

  // --- to the peer ------------------------------------------------------------------------------------------------

  /** `end`: our side ends behind these bytes. False: hold back until `writable`. */
  send(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (this.#link.closed || this.#writeEnded) return true;
    if (to > at) this.#link.send(bytes, at, to);
    if (end) {
      this.#writeEnded = true;
      this.#link.end();
      this.#link.flush();
      this.#superviseEnd();
    }
    return end || !this.#link.congested;
  }

  // --- from the peer ----------------------------------------------------------------------------------------------

  /** The consumer takes more: from the end of this turn on. */
  resume(): void {
    if (this.#wanted || this.#resuming) return;
    this.#resuming = true;
    this.#thread.turn.later(this);
  }

  runLater(): void {
    if (!this.#resuming) return;
    this.#resuming = false;
    this.#wanted = true;
    const held = this.#held;
    this.#held = null;
    if (held !== null) this.#deliver(held, held.length);
    if (!this.#wanted) return;
    this.#link.resume();
    this.#tellEnd();
  }

  #deliver(bytes: TextBuffer, length: number): void {
    if (this.#consumer !== null) this.#wanted = this.#consumer.take(bytes, 0, length, false);
  }

  #tellEnd(): void {
    if (!this.#readEnded || this.#endTold || this.#held !== null) return;
    this.#endTold = true;
    this.#superviseEnd();
    this.#consumer?.take(noBytes, 0, 0, true);
    this.#settle();
  }

  /** Both sides have ended; the peer may still have to read what is queued, and is not waited for for ever. */
  #superviseEnd(): void {
    if (this.#endTold && this.#writeEnded && !this.#link.closed) this.#thread.wheels.arm(this, unreadMs);
  }

  onRead(bytes: TextBuffer, length: number): void {
    if (this.#consumer === null) return;
    if (this.#wanted) {
      this.#deliver(bytes, length);
      return;
    }
    this.#held = asText(this.#held === null ? Buffer.from(bytes.subarray(0, length)) : Buffer.concat([this.#held, bytes.subarray(0, length)]));
    this.#link.pause();
  }

  onEnd(): void {
    this.#readEnded = true;
    if (this.#wanted) this.#tellEnd();
  }

  onDrain(): void {
    this.#consumer?.writable();
  }

  onClosed(failed: boolean): void {
    this.#thread.wheels.cancel(this);
    // Both sides have ended, and the consumer holds us back: what came last is still to be delivered.
    if (!failed && this.#consumer !== null && this.#readEnded && this.#writeEnded && !this.#endTold) this.#closedEarly = true;
    else this.#gone();
  }

  #gone(): void {
    const consumer = this.#consumer;
    this.#consumer = null;
    this.#held = null;
    consumer?.lost();
    this.#onGone();
  }

  /** After the last word of, or to, a consumer whose connection has closed before. */
  #settle(): void {
    if (!this.#closedEarly) return;
    this.#closedEarly = false;
    this.#gone();
  }

  // --- the end ----------------------------------------------------------------------------------------------------

  /** The consumer is done with it: where not both sides have ended, the peer sees a reset, which it cannot take for an orderly end. */
  drop(): void {
    this.#consumer = null;
    this.#held = null;
    this.#settle();
    if (!this.#endTold || !this.#writeEnded) this.abort();
  }

  /** Closes at once, with a reset. */
  abort(): void {
    this.#consumer = null;
    this.#held = null;
    this.#settle();
    if (this.#aborted) return;
    this.#aborted = true;
    this.#link.abort();
  }

  /** Closes at once, as who never was there. */
  close(): void {
    this.#consumer = null;
    this.#held = null;
    this.#settle();
    this.#link.destroy();
  }

  /** The peer takes what is queued, or has stopped to. */
  fire(): void {
    const { unsent } = this.#link;
    if (unsent === 0 || unsent === this.#unsent) this.#link.destroy();
    else {
      this.#unsent = unsent;
      this.#thread.wheels.arm(this, unreadMs);
    }
  }
}

/** Within this time the peer takes something of what is queued behind the end of both sides, or the connection is closed. */
const unreadMs = 10_000;
/** Silence after which the kernel asks the peer whether it is still there. */
const keepAliveMs = 60_000;
const noBytes = new Uint8Array(0);
