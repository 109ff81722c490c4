import type { HeadArena } from '../head-arena.ts';
import type { HeadLimits } from '../head-scanner.ts';
import { errorCode, type ErrorCode } from './error-code.ts';
import type { FailureReason } from './failure-reason.ts';
import { FrameWriter } from './frame-writer.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import type { Http2Limits } from './http2-limits.ts';
import type { Http2SessionOptions } from './http2-session.ts';
import type { Http2Stream } from './http2-stream.ts';
import { PeerSettings } from './peer-settings.ts';
import { ReceiveSide } from './receive-side.ts';
import { ResetMemory } from './reset-memory.ts';
import { SendSide } from './send-side.ts';
import { SessionCounters } from './session-counters.ts';
import type { Http2Failure, SessionEvents, SessionOutput, StreamReset } from './session-ports.ts';
import { StreamTable } from './stream-table.ts';
import { TokenBudget } from './token-budget.ts';
import type { WindowBudget } from './window-budget.ts';

/** What the parts of one session share: its streams, its codecs, and how streams and the connection end. */
export class SessionCore {
  readonly role: 'server' | 'client';
  readonly limits: Http2Limits;
  readonly windows: WindowBudget | null;
  readonly output: SessionOutput;
  readonly events: SessionEvents;
  readonly arena: HeadArena;
  readonly now: () => number;
  readonly counters = new SessionCounters();
  readonly frames: FrameWriter;
  readonly encoder: HpackEncoder;
  readonly decoder = new HpackDecoder();
  readonly peer = new PeerSettings();
  readonly sender: SendSide;
  readonly receiver: ReceiveSide;
  readonly streams = new StreamTable();
  readonly resets = new ResetMemory();
  headLimits: HeadLimits;
  failure: Http2Failure | null = null;
  /** The peer's SETTINGS have come; ours have been acknowledged. */
  settled = false;
  acknowledged = false;
  /** Highest id that the peer (server role) or we (client role) have used. */
  lastId = 0;
  /** No id up to `lastId` was left out: all of them were opened. */
  gapless = true;
  /** Server role: the final GOAWAY named it; streams above it are not looked at. */
  finalId = Number.POSITIVE_INFINITY;
  sentGoAway = false;
  gotGoAway = false;
  readonly #resetBudget: TokenBudget;
  readonly #controlBudget: TokenBudget;
  readonly #windowBudget: TokenBudget;
  readonly #emptyBudget: TokenBudget;
  /** Control frames written since the output got congested. */
  #backlog = 0;
  /** When the owner was asked to call back. */
  #wakeAt = Number.POSITIVE_INFINITY;

  constructor(options: Http2SessionOptions) {
    const { limits } = options;
    const now = options.now();
    this.role = options.role;
    this.limits = limits;
    this.windows = options.windows ?? null;
    this.output = options.output;
    this.events = options.events;
    this.arena = options.arena;
    this.now = options.now;
    this.headLimits = limits.head;
    this.frames = new FrameWriter(options.output, this.counters);
    this.encoder = new HpackEncoder(limits.encoderTableBytesMax);
    this.sender = new SendSide(this);
    this.receiver = new ReceiveSide(this);
    this.#resetBudget = new TokenBudget(limits.resets, now);
    this.#controlBudget = new TokenBudget(limits.controlFrames, now);
    this.#windowBudget = new TokenBudget(limits.windowUpdates, now);
    this.#emptyBudget = new TokenBudget(limits.emptyData, now);
  }

  /** A stream's window for what the peer sends. Before the peer knows our SETTINGS it counts with the RFC's default. */
  get initialReceiveWindow(): number {
    const { streamWindowBytes } = this.limits;
    return this.acknowledged || streamWindowBytes > defaultWindow ? streamWindowBytes : defaultWindow;
  }

  /** No stream with this id was ever opened, or should have been. */
  isIdle(streamId: number): boolean {
    return (streamId & 1) === 0 || (streamId > this.lastId && !this.isLate(streamId));
  }

  /** Opened by a client that had not seen our final GOAWAY: it is not looked at (RFC 9113 section 6.8). */
  isLate(streamId: number): boolean {
    return streamId > this.finalId;
  }

  // --- the end of streams -------------------------------------------------------------------------------------------

  /** The stream leaves the session. What it held and was owed is credited to the connection. */
  close(stream: Http2Stream): void {
    if (stream.closed) return;
    stream.closed = true;
    this.streams.delete(stream.id);
    this.sender.forget(stream);
    this.receiver.forget(stream);
    const { owner } = stream;
    stream.owner = null;
    owner?.onClosed();
  }

  /** Where both sides have ended. */
  closeIfDone(stream: Http2Stream): void {
    if (stream.closed || !stream.sendDone) return;
    if (stream.endDelivered || (stream.discarding && stream.receiveEnded)) {
      this.#resetBudget.earn(1);
      this.close(stream);
    } else if (stream.discarding && this.role === 'server') stream.reset(errorCode.noError);
  }

  /** The peer broke a rule on this stream. */
  streamError(stream: Http2Stream, code: ErrorCode, reason: FailureReason): void {
    if (stream.closed) return;
    this.countStreamError(reason);
    this.writeReset(stream.id, code);
    this.resets.add(stream.id, true);
    this.endAbnormally(stream, { code, by: 'local', unprocessed: false, reason });
    this.spendReset(stream);
  }

  countStreamError(reason: FailureReason): void {
    this.counters.countStreamError(reason);
    this.events.onStreamError?.(reason);
  }

  endAbnormally(stream: Http2Stream, reset: StreamReset): void {
    stream.owner?.onReset(reset);
    this.close(stream);
  }

  /** A stream was ended before its response: whoever did it, too many of them are an attack (security.md 2.2). */
  spendReset(stream: Http2Stream): void {
    if (this.role === 'client' || stream.sendDone) return;
    const now = this.now();
    if (now - stream.openedAt < this.limits.resetAgeMs && !this.#resetBudget.spend(now)) this.fail(errorCode.enhanceYourCalm, 'resets');
  }

  /** A request that never became a stream. */
  refuse(streamId: number, code: ErrorCode, reason: FailureReason): void {
    this.counters.refused++;
    this.countStreamError(reason);
    this.writeReset(streamId, code);
    this.resets.add(streamId, true);
    if (!this.#resetBudget.spend(this.now())) this.fail(errorCode.enhanceYourCalm, 'resets');
  }

  writeReset(streamId: number, code: ErrorCode): void {
    this.counters.resetsOut++;
    this.frames.reset(streamId, code);
    this.wroteControl();
  }

  // --- budgets ------------------------------------------------------------------------------------------------------

  /** False: the connection has ended. */
  spendControl(): boolean {
    if (this.#controlBudget.spend(this.now())) return true;
    this.fail(errorCode.enhanceYourCalm, 'control-frames');
    return false;
  }

  spendWindowUpdate(): boolean {
    if (this.#windowBudget.spend(this.now())) return true;
    this.fail(errorCode.enhanceYourCalm, 'window-updates');
    return false;
  }

  spendEmptyData(): boolean {
    if (this.#emptyBudget.spend(this.now())) return true;
    this.fail(errorCode.enhanceYourCalm, 'empty-data');
    return false;
  }

  /**
   * Frames that we send entitle the peer to some of its own: WINDOW_UPDATE for the stream and the connection, and the PING with which gRPC libraries
   * measure round trips.
   */
  earnedBySending(frames: number): void {
    this.#windowBudget.earn(frames * updatesPerFrame);
    this.#controlBudget.earn(frames);
  }

  /** Answers that pile up because the peer does not read are bounded. */
  wroteControl(): void {
    if (!this.output.congested) this.#backlog = 0;
    else if (++this.#backlog > backlogMax) this.fail(errorCode.enhanceYourCalm, 'output-queue');
  }

  // --- the end of the connection ------------------------------------------------------------------------------------

  fail(code: ErrorCode, reason: FailureReason): void {
    if (this.failure !== null) return;
    this.failure = { code, byPeer: false, reason };
    this.frames.goAway(this.role === 'server' ? Math.min(this.lastId, this.finalId) : 0, code, reason);
    this.resetAll({ code, by: 'connection', unprocessed: false, reason });
    this.events.onFailed(this.failure);
  }

  /** `keepWhole`: but for streams that ended on both sides, whose consumer still has to take what came. */
  resetAll(reset: StreamReset, keepWhole = false): void {
    for (const stream of this.streams.list()) {
      // What its window grew by goes back with that of the connection.
      if (keepWhole && stream.sendDone && stream.receiveEnded && !stream.endDelivered) stream.window = null;
      else this.endAbnormally(stream, reset);
    }
    this.receiver.closed();
  }

  // --- time ---------------------------------------------------------------------------------------------------------

  /** `checkTime` is needed at `atMs`. */
  wakeBy(atMs: number): void {
    if (atMs >= this.#wakeAt) return;
    this.#wakeAt = atMs;
    this.events.wake(Math.max(0, atMs - this.now()));
  }

  woken(): void {
    this.#wakeAt = Number.POSITIVE_INFINITY;
  }
}

const defaultWindow = 65_535;
const updatesPerFrame = 4;
/** As many answers to control frames as fit into a congested output before the peer is given up. */
const backlogMax = 1000;
