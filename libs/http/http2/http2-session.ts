import { asText } from '../byte-text.ts';
import type { HeadArena } from '../head-arena.ts';
import type { HeadLimits } from '../head-scanner.ts';
import { errorCode, type ErrorCode } from './error-code.ts';
import type { FailureReason } from './failure-reason.ts';
import { FrameHandler } from './frame-handler.ts';
import { FrameReader, frameBadPadding, frameData, frameMore, framePayload, frameTooLarge } from './frame-reader.ts';
import { streamIdMax } from './frame-type.ts';
import type { Http2Limits } from './http2-limits.ts';
import { Http2Stream } from './http2-stream.ts';
import { ownSettings } from './peer-settings.ts';
import type { SessionCounters } from './session-counters.ts';
import { SessionClock } from './session-clock.ts';
import { SessionCore } from './session-core.ts';
import type { Http2Failure, SessionEvents, SessionOutput, StreamOwner } from './session-ports.ts';
import type { WindowBudget } from './window-budget.ts';

export interface Http2SessionOptions {
  readonly role: 'server' | 'client';
  readonly output: SessionOutput;
  readonly events: SessionEvents;
  readonly arena: HeadArena;
  readonly limits: Http2Limits;
  /** Shared with other sessions; absent: windows stay as `limits` says. */
  readonly windows?: WindowBudget;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/**
 * One HTTP/2 connection as a state machine (RFC 9113): bytes in, events and bytes out. No I/O, no timers of its own. Never throws for what a
 * peer does.
 */
export class Http2Session {
  readonly role: 'server' | 'client';
  readonly #core: SessionCore;
  readonly #reader: FrameReader;
  readonly #handler: FrameHandler;
  readonly #clock: SessionClock;
  /** Bytes of the client's preface that are still to come (server role). */
  #prefaceLeft: number;

  constructor(options: Http2SessionOptions) {
    this.role = options.role;
    this.#core = new SessionCore(options);
    this.#reader = new FrameReader(options.limits.frameBytesMax);
    this.#handler = new FrameHandler(this.#core);
    this.#clock = new SessionClock(this.#core);
    this.#handler.onPong = (payload, at) => {
      if (!this.#core.receiver.pong(payload, at)) this.#clock.pong(payload, at);
    };
    this.#prefaceLeft = options.role === 'server' ? preface.length : 0;
  }

  get counters(): SessionCounters {
    return this.#core.counters;
  }

  /** Set when the connection is over. */
  get failure(): Http2Failure | null {
    return this.#core.failure;
  }

  get openStreams(): number {
    return this.#core.streams.size;
  }

  /** Highest stream id that was used. */
  get lastStreamId(): number {
    return this.#core.lastId;
  }

  /** The peer has sent its SETTINGS. */
  get ready(): boolean {
    return this.#core.settled;
  }

  /** Client role: how many streams the peer lets us have at once; 100 until it has said. */
  get peerStreamsMax(): number {
    return this.#core.peer.streamsMax;
  }

  /** The peer accepts extended CONNECT. False until it has said. */
  get peerExtendedConnect(): boolean {
    return this.#core.peer.extendedConnect;
  }

  /** `open` would succeed now. */
  get canOpen(): boolean {
    const { failure, gotGoAway, sentGoAway, streams, peer, lastId } = this.#core;
    return this.role === 'client' && failure === null && !gotGoAway && !sentGoAway && streams.size < peer.streamsMax && lastId < streamIdMax - 1;
  }

  /** Either side has sent GOAWAY. */
  get goingAway(): boolean {
    return this.#core.sentGoAway || this.#core.gotGoAway;
  }

  /** Writes the preface and SETTINGS. Once, first. */
  start(): void {
    const { frames, limits, receiver } = this.#core;
    if (this.role === 'client') frames.raw(preface);
    frames.settings(ownSettings(this.role, limits));
    receiver.start();
    this.#clock.start();
  }

  /** `bytes[at, to)` are borrowed for the call. */
  read(bytes: Uint8Array, at: number, to: number): void {
    const core = this.#core;
    const text = asText(bytes);
    let from = at;
    if (this.#prefaceLeft > 0) {
      from = this.#readPreface(bytes, at, to);
      if (from < 0) return core.fail(errorCode.protocolError, 'preface');
    }
    while (core.failure === null) {
      const event = this.#reader.read(text, from, to);
      from = this.#reader.used;
      if (event === frameMore) break;
      switch (event) {
        case frameData:
          if (this.#reader.frameDone) core.counters.framesIn++;
          this.#handler.data(this.#reader);
          break;
        case framePayload:
          core.counters.framesIn++;
          this.#handler.payload(this.#reader);
          break;
        case frameTooLarge:
          return core.fail(errorCode.frameSizeError, 'frame-size');
        case frameBadPadding:
          return core.fail(errorCode.protocolError, 'frame-padding');
      }
    }
    if (core.failure === null) this.#clock.read(this.#reader.settled && this.#handler.block.streamId === 0);
    return undefined;
  }

  #readPreface(bytes: Uint8Array, at: number, to: number): number {
    let from = at;
    while (this.#prefaceLeft > 0 && from < to) {
      if (bytes[from] !== preface[preface.length - this.#prefaceLeft]) return -1;
      this.#prefaceLeft--;
      from++;
    }
    return from;
  }

  /** The output takes bytes again. */
  drained(): void {
    this.#core.sender.pump();
  }

  /**
   * The peer has closed its side, or the connection broke: every stream is reset with `connection`. Nothing follows, no `onFailed` either. Client role: a
   * stream whose response has come whole, and waits for its consumer, is the consumer's until it has it.
   */
  peerClosed(): void {
    const core = this.#core;
    if (core.failure !== null) return;
    core.failure = { code: errorCode.noError, byPeer: true, reason: 'peer-closed' };
    core.resetAll({ code: errorCode.cancel, by: 'connection', unprocessed: false, reason: 'peer-closed' }, this.role === 'client');
  }

  /** What is due by now is done; asks for the next time by `wake`. */
  checkTime(): void {
    this.#clock.check();
  }

  /** For heads from now on. */
  setHeadLimits(limits: HeadLimits): void {
    this.#core.headLimits = limits;
  }

  /** Client role: null where no stream can be opened (`canOpen`). `sendHead` comes next. */
  open(owner: StreamOwner): Http2Stream | null {
    if (!this.canOpen) return null;
    const core = this.#core;
    core.lastId += core.lastId === 0 ? 1 : 2;
    const stream = new Http2Stream(core, core.lastId, core.now());
    stream.owner = owner;
    stream.wanted = true;
    core.streams.add(stream);
    core.counters.streamsOpened++;
    return stream;
  }

  /** Graceful: GOAWAY(2^31 - 1), later GOAWAY(last id); streams in flight finish (RFC 9113 section 6.8). Client role: one GOAWAY. */
  shutdown(): void {
    const core = this.#core;
    if (core.sentGoAway || core.failure !== null) return;
    core.sentGoAway = true;
    if (this.role === 'client') {
      core.frames.goAway(0, errorCode.noError, '');
      core.events.onDrained();
      return;
    }
    core.frames.goAway(streamIdMax, errorCode.noError, '');
    this.#clock.beginDrain();
  }

  /** Ends the connection now: GOAWAY with `code`, streams are reset, `onFailed` follows. */
  fail(code: ErrorCode, reason: FailureReason): void {
    this.#core.fail(code, reason);
  }

  /** Sends a PING; its answer counts as a sign of life (see `keepAliveMs`). */
  ping(): void {
    if (this.#core.failure === null) this.#clock.ping();
  }
}

/** RFC 9113 section 3.4. */
export const preface: Uint8Array = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
