import type { TextBuffer } from '../byte-text.ts';
import type { MessageHead } from '../message-head.ts';
import type { ErrorCode } from './error-code.ts';
import type { FailureReason } from './failure-reason.ts';
import type { Http2Stream } from './http2-stream.ts';

/** Where a session's bytes go: a region is reserved, filled from `outAt`, and declared with `wrote`. Shaped like the sidecar's Link. */
export interface SessionOutput {
  /** More is queued than the peer takes now: bodies wait for `Http2Session.drained`. */
  readonly congested: boolean;
  readonly outAt: number;
  reserve(bytes: number): TextBuffer;
  wrote(end: number): void;
}

/** What a session tells its connection. Called within `read`, `checkTime`, and what the owner calls itself. */
export interface SessionEvents {
  /**
   * Server role: a request. Answers who gets the stream's further events. Answering null refuses it (REFUSED_STREAM: the client may repeat it).
   * The request's body starts held back: `stream.resume()` asks for it.
   */
  onRequest(stream: Http2Stream, head: MessageHead, end: boolean): StreamOwner | null;
  /**
   * Server role: a request whose head is beyond the limits, so that there is none. The owner answers it with 431, or returns null: the stream is
   * reset. `reason` is `head-too-large` or `too-many-fields`.
   */
  onUnreadRequest(stream: Http2Stream, reason: FailureReason): StreamOwner | null;
  /** A stream was refused, or reset because of what the peer did. For metrics: everything else about it goes to its owner. */
  onStreamError?(reason: FailureReason): void;
  /** The peer's settings arrived, the first time or again: limits of streams may have changed. */
  onSettings(): void;
  /** The peer takes no new streams; those above `lastStreamId` have had their `onReset`, with `unprocessed`. */
  onGoAway(lastStreamId: number, code: ErrorCode): void;
  /** The final GOAWAY of `shutdown` has been sent: nothing new can come. */
  onDrained(): void;
  /** The connection is over. GOAWAY is written, streams have had their `onReset`: flush and close. Nothing follows. */
  onFailed(failure: Http2Failure): void;
  /** `checkTime` is to be called in `delayMs`; replaces an earlier wish. */
  wake(delayMs: number): void;
}

/** What a stream tells whoever handles it. */
export interface StreamOwner {
  /** Client role: 1xx. */
  onInfo(head: MessageHead): void;
  /** Client role: the response. */
  onHead(head: MessageHead, end: boolean): void;
  /**
   * Body bytes, borrowed for the call. True: taken, the peer gets credit for them now. False: nothing more until `stream.resume()`, which also gives
   * the credit; what the peer sends meanwhile is held, at most the stream's window.
   */
  onData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean;
  /** Ends the message. */
  onTrailers(head: MessageHead): void;
  /** Everything queued by `sendData` was written: more can be sent. */
  onWritable(): void;
  /** Abnormal end, unless `reset` was called by the owner itself. */
  onReset(reset: StreamReset): void;
  /** Once, the last call, however the stream ended: it no longer counts as open. Also after the owner's own `reset`. */
  onClosed(): void;
}

/** Why a stream ended before its messages did. */
export interface StreamReset {
  readonly code: ErrorCode;
  /** `peer`: RST_STREAM. `local`: the peer broke a rule. `go-away`, `connection`: with the connection. */
  readonly by: 'peer' | 'local' | 'go-away' | 'connection';
  /** The peer says that it has not looked at the request: it can be repeated elsewhere (RFC 9113 sections 6.8 and 8.7). */
  readonly unprocessed: boolean;
  readonly reason: FailureReason;
}

/** Why a connection ended. */
export interface Http2Failure {
  readonly code: ErrorCode;
  /** The peer said so itself by GOAWAY, or went away; else we did. */
  readonly byPeer: boolean;
  readonly reason: FailureReason;
}
