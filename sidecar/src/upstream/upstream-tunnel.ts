import type { TextBuffer } from '@remora/http/byte-text';
import type { Link } from '../io/link.ts';
import { RawLink, type RawConsumer } from '../io/raw-link.ts';
import type { ThreadContext } from '../io/thread-context.ts';
import type { Attempt } from './attempt.ts';
import type { UpstreamStream } from './upstream-stream.ts';

/** The upstream's end of a tunnel on a connection of its own: HTTP/1.1 after 101, TCP once connected. */
export class UpstreamTunnel implements UpstreamStream, RawConsumer {
  readonly reused = false;
  readonly #attempt: Attempt;
  readonly #raw: RawLink;

  /** `early`: what came behind the head of the switch, owned. */
  constructor(link: Link, thread: ThreadContext, attempt: Attempt, start: { readonly early: TextBuffer | null; readonly readEnded: boolean; readonly onGone: () => void }) {
    this.#attempt = attempt;
    this.#raw = new RawLink(link, thread, this, start);
    // Responses flow until somebody says stop: from the end of this turn on, behind the head.
    this.#raw.resume();
  }

  // --- from the upstream ------------------------------------------------------------------------------------------

  take(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.#attempt.onData(bytes, at, to, end);
  }

  writable(): void {
    this.#attempt.onWritable();
  }

  lost(): void {
    this.#attempt.onConnectionLost(true, true);
  }

  // --- UpstreamStream ---------------------------------------------------------------------------------------------

  sendHead(): boolean {
    return true;
  }

  sendData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.#raw.send(bytes, at, to, end);
  }

  sendTrailers(): void {
    this.#raw.send(noBytes, 0, 0, true);
  }

  resumeReading(): void {
    this.#raw.resume();
  }

  abandon(): void {
    this.#raw.abort();
  }
}

const noBytes = new Uint8Array(0);
