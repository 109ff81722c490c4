import type { MessageHead } from '../message-head.ts';
import { BodyQueue } from './body-queue.ts';
import { errorCode } from './error-code.ts';
import type { Http2Stream } from './http2-stream.ts';
import { RoundTrip, roundTripPing } from './round-trip.ts';
import type { SessionCore } from './session-core.ts';
import { StreamWindow } from './stream-window.ts';

/**
 * Bodies that come in: flow control of the connection and its streams (RFC 9113 section 5.2). Credit is returned when the consumer has taken the
 * bytes; what comes for one that holds back waits here, bounded by the windows. Where the session has a `WindowBudget`, windows of long bodies grow to
 * what the way holds; the connection's grows by as much, so that no stream takes the room of others.
 */
export class ReceiveSide {
  readonly #core: SessionCore;
  /** Bytes that the peer may still send on the connection. */
  #window = 65_535;
  /** Consumed, but not yet announced. */
  #unannounced = 0;
  #windowMax: number;
  /** Of `#windowMax`: what no stream needs any more, kept as its bytes are consumed. */
  #debt = 0;
  /** Null: no long body has come yet. */
  #roundTrip: RoundTrip | null = null;

  constructor(core: SessionCore) {
    this.#core = core;
    this.#windowMax = this.#usual;
  }

  /** The connection's window without what grew: not a field, for there are many idle connections. */
  get #usual(): number {
    return Math.max(65_535, this.#core.limits.connectionWindowBytes);
  }

  /** Opens the connection's window to its full size. */
  start(): void {
    const increment = this.#windowMax - this.#window;
    if (increment === 0) return;
    this.#window = this.#windowMax;
    this.#core.frames.windowUpdate(0, increment);
  }

  /** Bytes of DATA have come. False: more than the connection's window. */
  spend(flowBytes: number): boolean {
    this.#window -= flowBytes;
    return this.#window >= 0;
  }

  /** DATA of no stream that anybody cares for. */
  dropped(flowBytes: number): void {
    this.#credit(null, flowBytes);
  }

  /** A piece of DATA; `flowBytes` counts its padding too. `end`: the message ends with it. */
  data(stream: Http2Stream, bytes: Uint8Array, at: number, to: number, flowBytes: number, end: boolean): void {
    stream.receiveWindow -= flowBytes;
    if (stream.receiveWindow < 0) {
      this.#credit(null, flowBytes);
      this.#core.streamError(stream, errorCode.flowControlError, 'flow-control');
      return;
    }
    const length = to - at;
    stream.receivedBytes += length;
    this.#core.counters.dataBytesIn += length;
    if (stream.expectedBytes >= 0 && (end ? stream.receivedBytes !== stream.expectedBytes : stream.receivedBytes > stream.expectedBytes)) {
      this.#credit(null, flowBytes);
      this.#core.streamError(stream, errorCode.protocolError, 'body-length');
      return;
    }
    if (end) stream.receiveEnded = true;
    if (stream.discarding) {
      this.#credit(stream, flowBytes);
      this.#core.closeIfDone(stream);
      return;
    }
    if (flowBytes > length) this.#credit(stream, flowBytes - length);
    if (!stream.wanted || stream.held !== null || stream.delivering) this.#hold(stream, bytes, at, to);
    else if (length > 0 || end) this.#deliver(stream, bytes, at, to, end);
  }

  trailers(stream: Http2Stream, head: MessageHead): void {
    if (stream.expectedBytes >= 0 && stream.receivedBytes !== stream.expectedBytes) {
      this.#core.streamError(stream, errorCode.protocolError, 'body-length');
      return;
    }
    stream.receiveEnded = true;
    if (stream.discarding) {
      this.#core.closeIfDone(stream);
      return;
    }
    stream.heldTrailers = head;
    if (!stream.wanted || stream.held !== null || stream.delivering) stream.held ??= new BodyQueue();
    else this.#deliverEnd(stream);
  }

  /** The message ended with its head. */
  endedByHead(stream: Http2Stream): void {
    stream.receiveEnded = true;
    stream.endDelivered = true;
    this.#core.closeIfDone(stream);
  }

  resume(stream: Http2Stream): void {
    if (stream.closed || stream.delivering) return;
    stream.wanted = true;
    this.#settle(stream);
    const { held } = stream;
    if (held === null) return;
    while (held.length > 0 && stream.wanted) {
      const chunk = held.front();
      const { bytes, at, end } = chunk;
      held.take(end - at);
      this.#core.counters.heldBytes -= end - at;
      const last = held.length === 0 && stream.receiveEnded && stream.heldTrailers === null;
      if (held.length === 0 && !stream.receiveEnded) stream.held = null;
      this.#deliver(stream, bytes, at, end, last);
      if (stream.closed) return;
    }
    if (held.length > 0 || !stream.wanted) return;
    stream.held = null;
    if (stream.receiveEnded && !stream.endDelivered) this.#deliverEnd(stream);
  }

  discard(stream: Http2Stream): void {
    if (stream.closed || stream.discarding) return;
    stream.discarding = true;
    const held = this.#dropHeld(stream);
    this.#credit(stream, held + stream.owed);
    stream.owed = 0;
    this.#core.closeIfDone(stream);
  }

  /** The stream is gone: what it had not consumed is credited to the connection. */
  forget(stream: Http2Stream): void {
    const bytes = this.#dropHeld(stream) + stream.owed;
    stream.owed = 0;
    if (stream.window !== null) {
      this.#debt += stream.window.extra;
      stream.window = null;
    }
    if (bytes > 0) this.#credit(null, bytes);
  }

  /** The connection is over, its streams are gone. */
  closed(): void {
    this.#core.windows?.give(this.#windowMax - this.#usual);
    this.#windowMax = this.#usual;
    this.#debt = 0;
  }

  /** An answer to a PING. False: not to one of these. */
  pong(payload: Uint8Array, at: number): boolean {
    return this.#roundTrip?.answered(payload, at, this.#core.now()) === true;
  }

  #dropHeld(stream: Http2Stream): number {
    const bytes = stream.held === null ? 0 : stream.held.length;
    this.#core.counters.heldBytes -= bytes;
    stream.held = null;
    stream.heldTrailers = null;
    return bytes;
  }

  #hold(stream: Http2Stream, bytes: Uint8Array, at: number, to: number): void {
    const { counters } = this.#core;
    stream.held ??= new BodyQueue();
    stream.held.push(bytes, at, to);
    counters.heldBytes += to - at;
    if (counters.heldBytes > counters.heldBytesPeak) counters.heldBytesPeak = counters.heldBytes;
    if (stream.window !== null && stream.held.length > this.#core.limits.streamWindowBytes) {
      this.#debt += stream.window.overfull(this.#core.now(), this.#roundTrip?.ms ?? Infinity);
    }
  }

  #deliver(stream: Http2Stream, bytes: Uint8Array, at: number, to: number, end: boolean): void {
    stream.owed += to - at;
    if (end) stream.endDelivered = true;
    stream.delivering = true;
    const taken = stream.owner === null || stream.owner.onData(bytes, at, to, end);
    stream.delivering = false;
    if (stream.closed) return;
    if (taken) this.#settle(stream);
    else stream.wanted = false;
    if (end) this.#core.closeIfDone(stream);
  }

  #deliverEnd(stream: Http2Stream): void {
    const trailers = stream.heldTrailers;
    stream.heldTrailers = null;
    stream.endDelivered = true;
    if (trailers === null) stream.owner?.onData(nothing, 0, 0, true);
    else stream.owner?.onTrailers(trailers);
    this.#core.closeIfDone(stream);
  }

  #settle(stream: Http2Stream): void {
    const { owed } = stream;
    if (owed === 0) return;
    stream.owed = 0;
    this.#credit(stream, owed);
  }

  /** Announced in large steps: half a window each. */
  #credit(stream: Http2Stream | null, bytes: number): void {
    if (bytes === 0) return;
    this.#creditConnection(bytes);
    if (stream === null || stream.receiveEnded || stream.closed) return;
    const { streamWindowBytes } = this.#core.limits;
    const { window } = stream;
    let returned = bytes;
    if (window !== null) {
      const kept = Math.min(window.debt, bytes);
      window.debt -= kept;
      returned -= kept;
      if (stream.held === null || stream.held.length <= streamWindowBytes) window.eased();
    }
    stream.unannounced += returned;
    const full = window === null ? streamWindowBytes : window.bytes;
    if (stream.unannounced >= full >> 1) this.#announce(stream);
  }

  #creditConnection(bytes: number): void {
    let returned = bytes;
    if (this.#debt > 0) {
      const kept = Math.min(this.#debt, bytes);
      this.#debt -= kept;
      this.#windowMax -= kept;
      this.#core.windows?.give(kept);
      returned -= kept;
    }
    this.#unannounced += returned;
    if (this.#unannounced >= this.#windowMax >> 1) this.#announceConnection();
  }

  #announceConnection(): void {
    if (this.#unannounced === 0) return;
    this.#core.frames.windowUpdate(0, this.#unannounced);
    this.#window += this.#unannounced;
    this.#unannounced = 0;
  }

  #announce(stream: Http2Stream): void {
    const increment = stream.unannounced + this.#growth(stream);
    this.#core.frames.windowUpdate(stream.id, increment);
    stream.receiveWindow += increment;
    stream.unannounced = 0;
  }

  // --- windows that grow ------------------------------------------------------------------------------------------

  /** By how much the stream's window is more than it was. */
  #growth(stream: Http2Stream): number {
    const { windows, limits } = this.#core;
    if (windows === null || stream.discarding) return 0;
    const now = this.#core.now();
    this.#measure(now);
    if (stream.window === null) {
      stream.window = new StreamWindow(limits.streamWindowBytes, now, stream.receivedBytes);
      return 0;
    }
    const by = stream.window.wants(stream.receivedBytes, now, this.#roundTrip?.ms ?? Infinity, limits.streamWindowBytesMax);
    if (by <= 0 || !this.#widen(by)) return 0;
    stream.window.grow(by);
    return by;
  }

  #measure(now: number): void {
    this.#roundTrip ??= new RoundTrip();
    if (!this.#roundTrip.asks(now)) return;
    this.#core.counters.pingsOut++;
    this.#core.frames.ping(roundTripPing, 0, false);
    this.#core.wroteControl();
  }

  /** The connection's window grows with the stream's. False: it may not. */
  #widen(by: number): boolean {
    const { windows, limits } = this.#core;
    const reused = Math.min(this.#debt, by);
    const more = by - reused;
    if (this.#windowMax + more > this.#usual + limits.windowGrowthMax || (more > 0 && windows?.take(more) !== true)) return false;
    this.#debt -= reused;
    this.#windowMax += more;
    this.#unannounced += more;
    if (more > 0) this.#announceConnection();
    return true;
  }
}

const nothing = new Uint8Array(0);
