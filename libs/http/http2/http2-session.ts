import type { HeadArena } from '../head-arena.ts';
import type { HeadLimits } from '../head-scanner.ts';
import type { ErrorCode } from './error-code.ts';
import type { FailureReason } from './failure-reason.ts';
import type { Http2Limits } from './http2-limits.ts';
import type { Http2Stream } from './http2-stream.ts';
import type { SessionCounters } from './session-counters.ts';
import type { Http2Failure, SessionEvents, SessionOutput, StreamOwner } from './session-ports.ts';

export interface Http2SessionOptions {
  readonly role: 'server' | 'client';
  readonly output: SessionOutput;
  readonly events: SessionEvents;
  readonly arena: HeadArena;
  readonly limits: Http2Limits;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/**
 * One HTTP/2 connection as a state machine (RFC 9113): bytes in, events and bytes out. No I/O, no timers of its own. Never throws for what a
 * peer does.
 */
export declare class Http2Session {
  constructor(options: Http2SessionOptions);
  readonly role: 'server' | 'client';
  readonly counters: SessionCounters;
  /** Set when the connection is over. */
  get failure(): Http2Failure | null;
  get openStreams(): number;
  /** Highest stream id that the peer has used. */
  get lastStreamId(): number;
  /** The peer has sent its SETTINGS. */
  get ready(): boolean;
  /** Client role: how many streams the peer lets us have at once; 100 until it has said. */
  get peerStreamsMax(): number;
  /** The peer accepts extended CONNECT. False until it has said. */
  get peerExtendedConnect(): boolean;
  /** `open` would succeed now. */
  get canOpen(): boolean;
  /** Either side has sent GOAWAY. */
  get goingAway(): boolean;

  /** Writes the preface and SETTINGS. Once, first. */
  start(): void;
  /** `bytes[at, to)` are borrowed for the call. */
  read(bytes: Uint8Array, at: number, to: number): void;
  /** The output takes bytes again. */
  drained(): void;
  /** The peer has closed its side, or the connection broke: every stream is reset with `connection`. */
  peerClosed(): void;
  /** What is due by now is done; asks for the next time by `wake`. */
  checkTime(): void;
  /** For heads from now on. */
  setHeadLimits(limits: HeadLimits): void;

  /** Client role: null where no stream can be opened (`canOpen`). `sendHead` comes next. */
  open(owner: StreamOwner): Http2Stream | null;
  /** Calls back for each open stream. */
  forEachStream(visit: (stream: Http2Stream) => void): void;
  /** Graceful: GOAWAY(2^31 - 1), later GOAWAY(last id); streams in flight finish (RFC 9113 section 6.8). Client role: one GOAWAY. */
  shutdown(): void;
  /** Ends the connection now: GOAWAY with `code`, streams are reset, `onFailed` follows. */
  fail(code: ErrorCode, reason: FailureReason): void;
  /** Sends a PING; its answer counts as a sign of life (see `keepAliveMs`). */
  ping(): void;
}
