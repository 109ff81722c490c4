import { Http2Session } from '@remora/http/http2/http2-session';
import type { Http2Stream } from '@remora/http/http2/http2-stream';
import type { Http2Failure, SessionEvents, StreamOwner } from '@remora/http/http2/session-ports';
import { TokenBudget } from '@remora/http/http2/token-budget';
import type { TextBuffer } from '@remora/http/byte-text';
import type { ConnectionRoom } from '@remora/policy-kit/connection-room';
import type { Attempt } from './attempt.ts';
import { sessionLimits } from './client-session-limits.ts';
import type { ConnectionDescription } from './connection-description.ts';
import { Http2ClientStream } from './http2-client-stream.ts';
import type { Http2Pool } from './http2-pool.ts';
import { KeepAlive } from './keep-alive.ts';
import type { Link } from '../io/link.ts';
import type { LinkOwner } from '../io/link-owner.ts';
import type { ThreadContext } from '../io/thread-context.ts';
import { WheelNode } from '../io/timer-wheel.ts';
import type { Deferred } from '../io/turn.ts';
import { drawAgeMs } from './pool-limits.ts';

/**
 * An HTTP/2 connection to an upstream, cleartext by prior knowledge. Calls come from its pool; while the connection is being made they wait on
 * a list, as many as the peer is assumed to take. It takes no more once the peer says GOAWAY, once it is too old or has served its number of
 * requests, and closes when those under way are done.
 */
export class Http2ClientConnection extends WheelNode implements LinkOwner, SessionEvents, Deferred {
  readonly pool: Http2Pool;
  /** Has a place for it, of the call that it was opened for. */
  room: ConnectionRoom | null = null;
  /** Calls that were begun, this connection's whole life. */
  requests = 0;
  /** Calls that were begun and are not over. */
  streams = 0;
  /** The pool has it among those with room. */
  listed = false;
  readonly #thread: ThreadContext;
  readonly #link: Link;
  readonly #session: Http2Session;
  readonly #openedAt: number;
  /** Takes no more calls from then on. */
  readonly #agedAt: number;
  #connected = false;
  #draining = false;
  /** Everything is said: nothing is read any more, the link closes with the peer's side or after a moment. */
  #hangingUp = false;
  /** Calls that wait for the connection to be made. */
  #waiting: Http2ClientStream[] = [];
  /** Calls that ask for a switch of protocols: only the peer's SETTINGS say whether they can (RFC 8441 section 3). */
  #asking: Http2ClientStream[] = [];
  /** Calls that found no room after all: told at the end of the turn. */
  #refused: Http2ClientStream[] = [];
  #idleSince: number;
  readonly #keepAlive: KeepAlive;
  /** When the session wants to look at the time. */
  #sessionDueAt = Infinity;
  /** What the timer is armed for. */
  #armedFor = Infinity;
  readonly #resets: TokenBudget;
  #resetsSeen = 0;

  constructor(pool: Http2Pool, thread: ThreadContext) {
    super();
    this.pool = pool;
    this.#thread = thread;
    this.#openedAt = thread.turn.now();
    this.#agedAt = this.#openedAt + drawAgeMs(pool.limits, thread.random);
    this.#idleSince = this.#openedAt;
    this.#keepAlive = new KeepAlive(pool.limits, this.#openedAt);
    this.#resets = new TokenBudget(resetBudget, this.#openedAt);
    this.#link = pool.openLink(thread.links, this);
    this.#session = new Http2Session({
      role: 'client', output: this.#link, events: this, arena: thread.arena, limits: sessionLimits(pool.limits), windows: thread.windows, now: () => thread.turn.now(),
    });
  }

  /** Calls that it may have at once. */
  get capacity(): number {
    const { streamsPerConnectionMax } = this.pool.limits;
    return Math.min(streamsPerConnectionMax, this.#session.ready ? this.#session.peerStreamsMax : this.pool.assumedStreams);
  }

  get hasRoom(): boolean {
    return !this.#draining && !this.#session.goingAway && this.#session.failure === null && this.streams < this.capacity;
  }

  get connecting(): boolean {
    return !this.#connected;
  }

  begin(attempt: Attempt): void {
    this.requests++;
    if (this.streams++ === 0 && this.#connected) this.#arm();
    if (this.requests >= this.pool.limits.requestsPerConnectionMax) this.#draining = true;
    const stream = new Http2ClientStream(this, attempt);
    if (attempt.call.head.protocol !== '' && !this.#session.ready) {
      this.#asking.push(stream);
      stream.assign(false);
      return;
    }
    if (!this.#connected) this.#waiting.push(stream);
    stream.assign(this.#connected);
  }

  // --- for its streams --------------------------------------------------------------------------------------------

  /** Null: there is no room. */
  open(owner: StreamOwner): Http2Stream | null {
    return this.#session.open(owner);
  }

  refuseLater(stream: Http2ClientStream): void {
    this.#refused.push(stream);
    this.#thread.turn.later(this);
  }

  runLater(): void {
    const refused = this.#refused;
    this.#refused = [];
    for (const stream of refused) {
      this.left();
      stream.refused();
    }
  }

  /** A call gave up before it had a stream. */
  leave(stream: Http2ClientStream): void {
    const waiting = this.#waiting.indexOf(stream);
    const refused = this.#refused.indexOf(stream);
    const asking = this.#asking.indexOf(stream);
    if (waiting >= 0) this.#waiting.splice(waiting, 1);
    else if (refused >= 0) this.#refused.splice(refused, 1);
    else if (asking >= 0) this.#asking.splice(asking, 1);
    else return;
    if (!this.#connected && this.#thread.turn.now() >= this.#openedAt + slowConnectMs) {
      // Whoever comes next would only wait for the same lost packet.
      this.#draining = true;
      this.pool.unlist(this);
    }
    this.left();
  }

  /** A call is over. */
  left(): void {
    this.streams--;
    if (this.#link.closed) return;
    if (this.#session.counters.resetsOut > this.#resetsSeen) this.#countResets();
    if (this.streams === 0) {
      this.#idleSince = this.#thread.turn.now();
      if (this.#draining || this.pool.retired) {
        this.close();
        return;
      }
      this.#arm();
    }
    this.pool.freed(this);
  }

  /**
   * Peers end connections on which too many streams are reset (CVE-2023-44487), with all that is on them. Clients that cancel again and again do not
   * bring others so far: the connection takes no more calls before.
   */
  #countResets(): void {
    const { resetsOut } = this.#session.counters;
    for (; this.#resetsSeen < resetsOut; this.#resetsSeen++) {
      if (this.#resets.spend(this.#thread.turn.now()) || this.#draining) continue;
      this.pool.count('retired');
      this.#draining = true;
      this.pool.unlist(this);
    }
  }

  // --- from the link ----------------------------------------------------------------------------------------------

  onConnected(): void {
    this.#connected = true;
    this.pool.keepAlive(this.#link, this.pool.limits);
    this.pool.connected();
    this.#session.start();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const stream of waiting) stream.connected();
    this.#arm();
  }

  onRead(bytes: TextBuffer, length: number): void {
    if (this.#hangingUp) return;
    this.#session.read(bytes, 0, length);
    if (this.#keepAlive.read(this.#thread.turn.now(), this.#session.counters.framesIn)) this.#arm();
  }

  onEnd(): void {
    this.#session.peerClosed();
    this.#link.destroy();
  }

  onDrain(): void {
    this.#session.drained();
  }

  onClosed(): void {
    this.#thread.wheels.cancel(this);
    this.#draining = true;
    if (!this.#connected) this.pool.connectFailed(this.#thread.turn.now());
    this.pool.removed(this);
    this.#session.peerClosed();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const stream of waiting) stream.connectFailed(this.#link.failure);
    const asking = this.#asking;
    this.#asking = [];
    for (const stream of asking) stream.connectFailed(this.#link.failure);
  }

  // --- from the session -------------------------------------------------------------------------------------------

  onRequest(): null {
    return null;
  }

  onUnreadRequest(): null {
    return null;
  }

  onSettings(): void {
    this.pool.learned(this.#session.peerStreamsMax);
    this.pool.extendedConnect = this.#session.peerExtendedConnect;
    this.pool.freed(this);
    const asking = this.#asking;
    this.#asking = [];
    for (const stream of asking) {
      if (this.#session.peerExtendedConnect) stream.connected();
      else this.#passOn(stream);
    }
  }

  #passOn(stream: Http2ClientStream): void {
    const attempt = stream.giveAway();
    this.left();
    if (attempt !== null && !this.pool.passOn(attempt)) attempt.onRefused();
  }

  onGoAway(): void {
    this.pool.count('goaway');
    this.drain();
  }

  onDrained(): void {}

  onFailed(failure: Http2Failure): void {
    if (!failure.byPeer) this.pool.count('failed');
    this.#hangUp();
  }

  wake(delayMs: number): void {
    this.#sessionDueAt = this.#thread.turn.now() + delayMs;
    this.#arm();
  }

  // --- time and the end -------------------------------------------------------------------------------------------

  /** Arms the timer for what is due next, unless it fires before that anyway. */
  #arm(): void {
    if (this.#hangingUp) return;
    const at = this.#nextDue();
    if (at >= this.#armedFor || at === Infinity) return;
    this.#armedFor = at;
    this.#thread.wheels.arm(this, at - this.#thread.turn.now());
  }

  #nextDue(): number {
    const { idleTimeoutMs } = this.pool.limits;
    let at = Math.min(this.#sessionDueAt, this.#keepAlive.dueAt(this.streams > 0));
    if (this.streams === 0) at = Math.min(at, this.#idleSince + idleTimeoutMs);
    if (!this.#draining) at = Math.min(at, this.#agedAt);
    return at;
  }

  fire(): void {
    this.#armedFor = Infinity;
    if (this.#hangingUp) this.#link.destroy();
    if (this.#link.closed || this.#hangingUp) return;
    const { idleTimeoutMs } = this.pool.limits;
    const now = this.#thread.turn.now();
    if (now >= this.#sessionDueAt) {
      this.#sessionDueAt = Infinity;
      this.#session.checkTime();
    }
    if (this.#link.closed) return;
    if (this.streams === 0 && now >= this.#idleSince + idleTimeoutMs) this.close();
    else if (now >= this.#agedAt) this.drain();
    else if (now >= this.#keepAlive.dueAt(this.streams > 0)) {
      this.#keepAlive.pinged(now, this.#session.counters.framesIn);
      this.#session.ping();
    }
    if (!this.#link.closed) this.#arm();
  }

  /** Takes no more calls; closes when those under way are over. */
  drain(): void {
    this.#draining = true;
    this.pool.unlist(this);
    if (this.streams === 0) this.close();
  }

  /** Says GOAWAY and closes. No call is under way. */
  close(): void {
    if (this.#connected && this.#session.failure === null) this.#session.shutdown();
    this.#hangUp();
  }

  /** The peer gets what was written, the reason among it, and a moment to close: closing with unread input would make the kernel reset the connection. */
  #hangUp(): void {
    this.#draining = true;
    this.pool.unlist(this);
    if (this.#hangingUp || this.#link.closed) return;
    this.#hangingUp = true;
    if (!this.#connected) {
      this.#link.destroy();
      return;
    }
    this.#link.end();
    this.#thread.wheels.arm(this, lingerMs);
  }

  /** Closes at once; calls under way break off. */
  destroy(): void {
    this.#draining = true;
    this.pool.unlist(this);
    if (this.#connected && this.#session.failure === null) this.#session.shutdown();
    this.#link.flush();
    this.#link.destroy();
  }

  describe(now: number): ConnectionDescription {
    const { counters } = this.#session;
    return {
      state: this.#draining ? 'draining' : this.#connected ? 'open' : 'connecting',
      streams: this.streams, streamsMax: this.capacity, requests: this.requests, ageMs: Math.round(now - this.#openedAt),
      heldBytes: counters.heldBytes, queuedBytes: counters.queuedBytes, resetsIn: counters.resetsIn, resetsOut: counters.resetsOut, pingsOut: counters.pingsOut,
    };
  }
}

/** A connection that is being made for so long, and that somebody has given up, takes no more calls. */
const slowConnectMs = 500;
const lingerMs = 1000;
/** Well below what we, and others, let a peer do. */
const resetBudget = Object.freeze({ burst: 400, perSecond: 40 });
