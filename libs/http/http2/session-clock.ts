import { errorCode } from './error-code.ts';
import type { SessionCore } from './session-core.ts';

/** Everything about a session that depends on time: what is overdue, and when to look again. */
export class SessionClock {
  readonly #core: SessionCore;
  #startedAt = 0;
  #readAt = 0;
  /** Since when a frame or header block has been incomplete; -1: none is. */
  #blockAt = -1;
  /** When the PING that awaits its answer was sent; -1: none does. */
  #pingAt = -1;
  #pingNumber = 0;
  /** The number of the PING behind the warning GOAWAY; -1: we are not draining. */
  #drainPing = -1;
  #drainAt = -1;

  constructor(core: SessionCore) {
    this.#core = core;
  }

  start(): void {
    const { limits } = this.#core;
    this.#startedAt = this.#core.now();
    this.#readAt = this.#startedAt;
    if (limits.settingsTimeoutMs > 0) this.#core.wakeBy(this.#startedAt + limits.settingsTimeoutMs);
    if (limits.keepAliveMs > 0) this.#core.wakeBy(this.#startedAt + limits.keepAliveMs);
  }

  /** Bytes have come. `settled`: they ended between frames, and no header block is under way. */
  read(settled: boolean): void {
    this.#readAt = this.#core.now();
    if (settled) this.#blockAt = -1;
    else if (this.#blockAt < 0) {
      this.#blockAt = this.#readAt;
      const { headerBlockTimeoutMs } = this.#core.limits;
      if (headerBlockTimeoutMs > 0) this.#core.wakeBy(this.#readAt + headerBlockTimeoutMs);
    }
  }

  ping(): void {
    const { frames, counters, limits } = this.#core;
    const number = ++this.#pingNumber;
    for (let i = 0; i < 4; i++) pingPayload[4 + i] = number >>> (24 - i * 8);
    counters.pingsOut++;
    frames.ping(pingPayload, 0, false);
    this.#core.wroteControl();
    if (this.#pingAt < 0) {
      this.#pingAt = this.#core.now();
      if (limits.keepAliveTimeoutMs > 0) this.#core.wakeBy(this.#pingAt + limits.keepAliveTimeoutMs);
    }
  }

  pong(payload: Uint8Array, at: number): void {
    for (let i = 0; i < 4; i++) if (payload[at + i] !== pingPayload[i]) return;
    let number = 0;
    for (let i = 0; i < 4; i++) number = number * 256 + (payload[at + 4 + i] as number);
    if (number > this.#pingNumber) return;
    if (number === this.#pingNumber) this.#pingAt = -1;
    if (this.#drainPing >= 0 && number >= this.#drainPing) this.#endDrain();
  }

  /** The warning GOAWAY is out: once its PING is answered, nothing sent before it can still be on its way. */
  beginDrain(): void {
    const { limits } = this.#core;
    this.ping();
    this.#drainPing = this.#pingNumber;
    this.#drainAt = this.#core.now() + limits.drainNoticeMs;
    this.#core.wakeBy(this.#drainAt);
  }

  #endDrain(): void {
    const core = this.#core;
    this.#drainPing = -1;
    core.finalId = core.lastId;
    core.frames.goAway(core.lastId, errorCode.noError, '');
    core.events.onDrained();
  }

  check(): void {
    const core = this.#core;
    core.woken();
    if (core.failure !== null) return;
    const now = core.now();
    const { settingsTimeoutMs, headerBlockTimeoutMs, stalledTimeoutMs, keepAliveMs, keepAliveTimeoutMs } = core.limits;
    if (!(core.settled && core.acknowledged) && settingsTimeoutMs > 0) {
      if (now >= this.#startedAt + settingsTimeoutMs) return core.fail(errorCode.settingsTimeout, 'settings-timeout');
      core.wakeBy(this.#startedAt + settingsTimeoutMs);
    }
    if (this.#blockAt >= 0 && headerBlockTimeoutMs > 0) {
      if (now >= this.#blockAt + headerBlockTimeoutMs) return core.fail(errorCode.enhanceYourCalm, 'header-block-time');
      core.wakeBy(this.#blockAt + headerBlockTimeoutMs);
    }
    if (this.#drainPing >= 0) {
      if (now >= this.#drainAt) this.#endDrain();
      else core.wakeBy(this.#drainAt);
    }
    if (this.#pingAt >= 0 && keepAliveTimeoutMs > 0) {
      if (now >= this.#pingAt + keepAliveTimeoutMs) return core.fail(errorCode.noError, 'keep-alive-timeout');
      core.wakeBy(this.#pingAt + keepAliveTimeoutMs);
    } else if (keepAliveMs > 0) this.#checkSilence(now, keepAliveMs);
    if (stalledTimeoutMs > 0) this.#checkStalled(now, stalledTimeoutMs);
    return undefined;
  }

  #checkSilence(now: number, keepAliveMs: number): void {
    const dueAt = this.#readAt + keepAliveMs;
    if (now < dueAt || this.#core.streams.size === 0) this.#core.wakeBy(Math.max(dueAt, now + keepAliveMs / 2));
    else this.ping();
  }

  /** A peer that gives no window, or does not read, holds memory: for a bounded time only (security.md 2.4). */
  #checkStalled(now: number, timeoutMs: number): void {
    const core = this.#core;
    const { streams, nextAt } = core.sender.stalled(now - timeoutMs);
    if (nextAt < Infinity) core.wakeBy(nextAt + timeoutMs);
    for (const stream of streams) if (core.failure === null) core.streamError(stream, errorCode.cancel, 'stalled');
  }
}

/** The first half marks our own; the second is a number. */
const pingPayload = Buffer.from('rmra\0\0\0\0', 'latin1');
