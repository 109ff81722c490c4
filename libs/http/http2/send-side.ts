import type { MessageHead } from '../message-head.ts';
import { BodyQueue } from './body-queue.ts';
import { frameBytesMin, windowMax } from './frame-type.ts';
import { blockSizeMax } from './hpack-encoder.ts';
import type { Http2Stream } from './http2-stream.ts';
import type { SessionCore } from './session-core.ts';

/**
 * Heads and bodies that go out. What windows or a slow peer do not let through now waits per stream; waiting streams take turns, a frame
 * each (RFC 9113 section 5.2). Bounded by producers, who stop at `false`.
 */
export class SendSide {
  readonly #core: SessionCore;
  /** Bytes that the peer lets us send on the connection. */
  window = 65_535;
  /** Last of the ring of waiting streams; its next one is first in turn. */
  #last: Http2Stream | null = null;
  #pumping = false;

  constructor(core: SessionCore) {
    this.#core = core;
  }

  sendHead(stream: Http2Stream, head: MessageHead, end: boolean): boolean {
    if (stream.closed || stream.sendEnded) return true;
    const { encoder, frames, role } = this.#core;
    const out = frames.openBlock(blockSizeMax(head));
    const blockEnd = role === 'client' ? encoder.encodeRequest(head, out, frames.blockAt) : encoder.encodeResponse(head, end, out, frames.blockAt);
    if (blockEnd < 0) return false;
    if (role === 'client') stream.headRequest = head.method === 'HEAD';
    frames.closeBlock(stream.id, out, blockEnd, end);
    stream.headSent = true;
    this.#core.earnedBySending(1);
    if (end) this.#ended(stream);
    return true;
  }

  sendData(stream: Http2Stream, bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (stream.closed || stream.sendEnded) return true;
    let from = at;
    if (stream.queue === null && (!this.#core.output.congested || at === to)) {
      from = this.#write(stream, bytes, at, to, end);
      if (from === to) {
        if (end) this.#ended(stream);
        return true;
      }
    }
    if (end) stream.sendEnded = true;
    this.#enqueue(stream, bytes, from, to);
    return false;
  }

  sendTrailers(stream: Http2Stream, head: MessageHead): boolean {
    if (stream.closed || stream.sendEnded) return true;
    if (stream.queue === null) return this.#writeTrailers(stream, head);
    stream.sendEnded = true;
    stream.pendingTrailers = head;
    return true;
  }

  /** Increases a window (RFC 9113 section 6.9.1). False: beyond what a window can be. */
  grow(stream: Http2Stream | null, increment: number): boolean {
    if (stream === null) {
      this.window += increment;
      if (this.window > windowMax) return false;
      this.pump();
    } else {
      stream.sendWindow += increment;
      if (stream.sendWindow > windowMax) return false;
      // Whoever else waits while the connection could take more waits for a window of its own.
      while (stream.nextWaiting !== null && stream.sendWindow > 0 && this.#open) this.#writeQueued(stream);
    }
    return true;
  }

  /** The connection takes more. */
  get #open(): boolean {
    return this.window > 0 && !this.#core.output.congested && this.#core.failure === null;
  }

  /** The peer's SETTINGS_INITIAL_WINDOW_SIZE changed by `delta` (RFC 9113 section 6.9.2). */
  shift(delta: number): boolean {
    for (const stream of this.#core.streams.list()) {
      stream.sendWindow += delta;
      if (stream.sendWindow > windowMax) return false;
    }
    if (delta > 0) this.pump();
    return true;
  }

  /** Streams that wait, each in turn, a frame at a time, as long as the connection takes more. */
  pump(): void {
    if (this.#pumping || this.#last === null) return;
    this.#pumping = true;
    // Streams in a row that could send nothing: when it is all of them, only the peer can help.
    let blocked: Http2Stream | null = null;
    while (this.#last !== null && this.#open) {
      const stream: Http2Stream = this.#last.nextWaiting as Http2Stream;
      if (stream === blocked) break;
      if (stream.sendWindow <= 0) {
        blocked ??= stream;
        this.#last = stream;
        continue;
      }
      blocked = null;
      this.#last = stream;
      this.#writeQueued(stream);
    }
    this.#pumping = false;
  }

  /** Streams that have waited since `before` or longer without any progress, and since when the next one has; Infinity where none waits. */
  stalled(before: number): { readonly streams: readonly Http2Stream[]; readonly nextAt: number } {
    const streams: Http2Stream[] = [];
    let nextAt = Infinity;
    for (const stream of this.#core.streams.list()) {
      if (stream.nextWaiting === null) continue;
      if (stream.stalledAt <= before) streams.push(stream);
      else nextAt = Math.min(nextAt, stream.stalledAt);
    }
    return { streams, nextAt };
  }

  /** Nothing more is sent on a stream whose peer wants no more of it. */
  abandon(stream: Http2Stream): void {
    this.forget(stream);
    this.#ended(stream);
  }

  forget(stream: Http2Stream): void {
    if (stream.queue !== null) {
      this.#core.counters.queuedBytes -= stream.queue.length;
      stream.queue = null;
    }
    stream.pendingTrailers = null;
    this.#leave(stream);
  }

  /** Frames for as much as the windows allow. Answers how far it came. */
  #write(stream: Http2Stream, bytes: Uint8Array, at: number, to: number, end: boolean): number {
    const { frames } = this.#core;
    const allowed = Math.min(to - at, stream.sendWindow, this.window);
    if (at === to) {
      if (end) frames.data(stream.id, bytes, at, to, true);
      return to;
    }
    if (allowed <= 0) return at;
    const stop = at + allowed;
    for (let from = at; from < stop; from += frameBytesMin) {
      const next = Math.min(stop, from + frameBytesMin);
      frames.data(stream.id, bytes, from, next, end && next === to);
    }
    stream.sendWindow -= allowed;
    this.window -= allowed;
    this.#core.earnedBySending(Math.ceil(allowed / frameBytesMin));
    return stop;
  }

  #enqueue(stream: Http2Stream, bytes: Uint8Array, at: number, to: number): void {
    const { counters } = this.#core;
    if (stream.queue === null) {
      stream.queue = new BodyQueue();
      stream.stalledAt = this.#core.now();
      this.#join(stream);
      if (this.#core.limits.stalledTimeoutMs > 0) this.#core.wakeBy(stream.stalledAt + this.#core.limits.stalledTimeoutMs);
    }
    stream.queue.push(bytes, at, to);
    counters.queuedBytes += to - at;
    if (counters.queuedBytes > counters.queuedBytesPeak) counters.queuedBytesPeak = counters.queuedBytes;
  }

  /** One frame of what waits, and what follows when it was the last. */
  #writeQueued(stream: Http2Stream): void {
    const queue = stream.queue as BodyQueue;
    const { bytes, at, end } = queue.front();
    const to = Math.min(end, at + frameBytesMin);
    const last = to - at === queue.length && stream.sendEnded && stream.pendingTrailers === null;
    const reached = this.#write(stream, bytes, at, to, last);
    queue.take(reached - at);
    this.#core.counters.queuedBytes -= reached - at;
    stream.stalledAt = this.#core.now();
    if (queue.length > 0) return;
    stream.queue = null;
    this.#leave(stream);
    if (stream.pendingTrailers !== null) {
      const trailers = stream.pendingTrailers;
      stream.pendingTrailers = null;
      this.#writeTrailers(stream, trailers);
    } else if (stream.sendEnded) this.#ended(stream);
    else stream.owner?.onWritable();
  }

  /** Trailers that cannot be written are left out: the body was complete. */
  #writeTrailers(stream: Http2Stream, head: MessageHead): boolean {
    const { encoder, frames } = this.#core;
    const out = frames.openBlock(blockSizeMax(head));
    const blockEnd = encoder.encodeTrailers(head, out, frames.blockAt);
    const empty = blockEnd <= frames.blockAt;
    if (empty) frames.data(stream.id, out, 0, 0, true);
    else frames.closeBlock(stream.id, out, blockEnd, true);
    this.#ended(stream);
    return blockEnd >= 0;
  }

  #ended(stream: Http2Stream): void {
    stream.sendEnded = true;
    stream.sendDone = true;
    this.#core.closeIfDone(stream);
  }

  #join(stream: Http2Stream): void {
    const last = this.#last ?? stream;
    const first = last.nextWaiting ?? stream;
    stream.nextWaiting = first;
    stream.previousWaiting = last;
    last.nextWaiting = stream;
    first.previousWaiting = stream;
    this.#last = stream;
  }

  #leave(stream: Http2Stream): void {
    const { nextWaiting: next, previousWaiting: previous } = stream;
    if (next === null || previous === null) return;
    stream.nextWaiting = null;
    stream.previousWaiting = null;
    if (next === stream) {
      this.#last = null;
      return;
    }
    previous.nextWaiting = next;
    next.previousWaiting = previous;
    if (this.#last === stream) this.#last = previous;
  }
}
