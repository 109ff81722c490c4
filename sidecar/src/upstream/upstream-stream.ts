import type { MessageHead } from '@remora/http/message-head';

/**
 * What an upstream codec offers for one attempt. HTTP/1.1: the connection itself; HTTP/2: a stream. Its word to the attempt goes through
 * `assigned`, `connected`, `onInfo`, `onHead`, `onData`, `onTrailers`, `onWritable`, `onRefused`, `onProtocolError`, `onConnectionLost`.
 */
export interface UpstreamStream {
  /** Its connection has served a request before, so that a reset may only mean that it was stale. */
  readonly reused: boolean;
  /**
   * False where the head cannot be written: nothing was sent. A head with a `protocol` asks to switch to it; the answer that does so has status 200 and the
   * same `protocol`, perhaps on another stream (`Attempt.switchTo`), and after it both directions are bytes that end on their own.
   */
  sendHead(head: MessageHead, end: boolean): boolean;
  /** False: hold back until `Attempt.onWritable`. */
  sendData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean;
  sendTrailers(head: MessageHead): void;
  /** The consumer wants more of the response body. Called at the end of a turn. */
  resumeReading(): void;
  /** Gives up: the peer sees that nobody waits any more, and the attempt hears nothing further. */
  abandon(): void;
}
