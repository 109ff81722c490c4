import { reasons } from '@remora/errors/reason';
import type { TextBuffer } from '@remora/http/byte-text';
import { unknownExpectation } from '@remora/http/head-scanner';
import type { FailureReason } from '@remora/http/http2/failure-reason';
import { defaultHttp2Limits, type Http2Limits } from '@remora/http/http2/http2-limits';
import { Http2Session } from '@remora/http/http2/http2-session';
import type { Http2Stream } from '@remora/http/http2/http2-stream';
import type { Http2Failure, SessionEvents, StreamOwner } from '@remora/http/http2/session-ports';
import type { MessageHead } from '@remora/http/message-head';
import type { Link } from '../io/link.ts';
import { WheelNode } from '../io/timer-wheel.ts';
import type { Deferred } from '../io/turn.ts';
import { answerFor } from '../pipeline/answers.ts';
import { becomesTunnelRequest } from '../pipeline/connect-request.ts';
import type { Engine } from '../pipeline/engine.ts';
import type { AcceptedConnection } from './accepted-connection.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import { Http2ServerStream } from './http2-server-stream.ts';
import type { ServerCodec } from './server-codec.ts';

/**
 * An HTTP/2 connection from a client: by prior knowledge in cleartext, by ALPN with TLS. The session does what RFC 9113 says; here stands what the
 * data path makes of it: an exchange for each stream, `requestLimits`, and how connections come to their end.
 */
export class Http2ServerConnection extends WheelNode implements ServerCodec, SessionEvents {
  readonly #engine: Engine;
  readonly #peer: AcceptedConnection;
  #link!: Link;
  #session!: Http2Session;
  #limits: ConnectionLimits;
  /** The generation that they come from. */
  #limitsOf: object | null;
  #requests = 0;
  #exchanges = 0;
  #idleSince = 0;
  /** When the session wants to look at the time. */
  #sessionDueAt = Infinity;
  #armedFor = Infinity;
  /** The last GOAWAY is out: the connection ends with its last stream. */
  #drained = false;
  /** Nothing is read any more; -1: not yet. */
  #lingerSince = -1;
  #unsent = 0;

  constructor(engine: Engine, peer: AcceptedConnection) {
    super();
    this.#engine = engine;
    this.#peer = peer;
    this.#limits = engine.limitsOf(peer.binding);
    this.#limitsOf = engine.generation;
  }

  attach(link: Link): void {
    this.#link = link;
    const { arena, turn, windows } = this.#engine.thread;
    this.#session = new Http2Session({ role: 'server', output: link, events: this, arena, limits: sessionLimits(this.#limits), windows, now: () => turn.now() });
    this.#idleSince = turn.now();
    this.#session.start();
    this.#arm();
  }

  get busy(): number {
    return this.#exchanges;
  }

  // --- from the link ----------------------------------------------------------------------------------------------

  onRead(bytes: TextBuffer, length: number): void {
    if (this.#lingerSince < 0) this.#session.read(bytes, 0, length);
  }

  /** FIN. HTTP/2 knows no half-closed connections: who has closed reads no answers (RFC 9113 section 5.4.1). */
  onEnd(): void {
    this.#session.peerClosed();
    // What is answered already still goes out.
    this.#linger();
  }

  onDrain(): void {
    this.#session.drained();
  }

  onClosed(): void {
    this.#engine.thread.wheels.cancel(this);
    this.#session.peerClosed();
    this.#peer.closed();
  }

  // --- from the session -------------------------------------------------------------------------------------------

  onRequest(stream: Http2Stream, head: MessageHead, end: boolean): StreamOwner {
    if (this.#limitsOf !== this.#engine.generation) this.#refreshLimits();
    this.#requests++;
    if (this.#requests >= this.#limits.requestsPerConnectionMax || this.#engine.admission.endsKeepAlive) this.#session.shutdown();
    // Nothing but WebSocket comes this way; nobody may take the name of another protocol for more than a name.
    const otherProtocol = head.method === 'CONNECT' && head.protocol !== '';
    if (otherProtocol) head.protocol = '';
    const connect = head.method === 'CONNECT' && !otherProtocol;
    // A body without a length is what a tunnel looks like here.
    const sound = !connect || becomesTunnelRequest(head, head.bodyLength > 0);
    // What follows a request to switch is no body.
    if (head.protocol !== '') head.bodyLength = 0;
    const server = new Http2ServerStream(this, stream, end);
    const run = this.#engine.makeRun(server, this.#peer, head);
    this.#exchanges++;
    server.begin(run);
    if (this.#peer.outdated || this.#peer.certificateOver) this.#session.shutdown();
    if (!sound) run.requestFailed(reasons.badRequest, 'CONNECT has no body');
    else if ((head.connection & unknownExpectation) !== 0) run.refuse(answerFor(reasons.expectationFailed, ''));
    else if (otherProtocol) run.refuse(answerFor(reasons.notImplemented, ''));
    else this.#engine.start(run, this.#peer);
    return server;
  }

  onUnreadRequest(stream: Http2Stream, reason: FailureReason): StreamOwner {
    const server = new Http2ServerStream(this, stream, false);
    const run = this.#engine.makeRun(server, this.#peer, null);
    this.#exchanges++;
    server.begin(run);
    run.requestFailed(reasons.headersTooLarge, '', reason === 'too-many-fields' ? '/headerCount' : '/headerBytes');
    return server;
  }

  onSettings(): void {}

  onGoAway(): void {}

  onStreamError(reason: FailureReason): void {
    this.#engine.count(`http2_stream-${reason}`);
  }

  onDrained(): void {
    this.#drained = true;
    this.#endIfDone();
  }

  onFailed(failure: Http2Failure): void {
    this.#engine.count(`http2_connection-${failure.reason}`);
    this.#linger();
  }

  wake(delayMs: number): void {
    this.#sessionDueAt = this.now() + delayMs;
    this.#arm();
  }

  #refreshLimits(): void {
    this.#limitsOf = this.#engine.generation;
    this.#limits = this.#engine.limitsOf(this.#peer.binding);
    this.#session.setHeadLimits(this.#limits.head);
  }

  // --- for its streams --------------------------------------------------------------------------------------------

  get bodyLimits(): ConnectionLimits {
    return this.#limits;
  }

  now(): number {
    return this.#engine.thread.turn.now();
  }

  later(work: Deferred): void {
    this.#engine.thread.turn.later(work);
  }

  arm(node: WheelNode, delayMs: number): void {
    this.#engine.thread.wheels.arm(node, delayMs);
  }

  cancel(node: WheelNode): void {
    this.#engine.thread.wheels.cancel(node);
  }

  exchangeEnded(): void {
    this.#exchanges--;
    if (this.#exchanges > 0) return;
    this.#idleSince = this.now();
    this.#endIfDone();
    this.#arm();
  }

  // --- time and the end -------------------------------------------------------------------------------------------

  /** Exchanges under way finish; new ones are told to go elsewhere, without losing any (RFC 9113 section 6.8). */
  drain(): void {
    this.#session.shutdown();
  }

  #endIfDone(): void {
    if (this.#drained && this.#exchanges === 0 && this.#session.openStreams === 0) this.#linger();
    else if (this.#drained) this.#arm();
  }

  /** Closes our side, then waits a little for the client's: closing with unread input would make the kernel reset what we sent. */
  #linger(): void {
    if (this.#lingerSince >= 0) return;
    this.#lingerSince = this.now();
    this.#link.end();
    this.#arm();
  }

  #arm(): void {
    const at = this.#nextDue();
    if (at >= this.#armedFor || this.#link.closed) return;
    this.#armedFor = at;
    this.#engine.thread.wheels.arm(this, at - this.now());
  }

  #nextDue(): number {
    if (this.#lingerSince >= 0) return this.#lingerSince + lingerMs;
    let at = this.#sessionDueAt;
    if (this.#exchanges > 0) return at;
    // The last stream may still be open a moment longer than its exchange: its end waits for the client's window.
    if (this.#drained) at = Math.min(at, this.now() + drainedCheckMs);
    else if (this.#limits.idleTimeoutMs > 0 && !this.#session.goingAway) at = Math.min(at, this.#idleSince + this.#limits.idleTimeoutMs);
    return at;
  }

  fire(): void {
    this.#armedFor = Infinity;
    const now = this.now();
    if (this.#lingerSince >= 0) {
      if (!this.#stillSending(now) && now >= this.#lingerSince + lingerMs) this.#link.destroy();
      else this.#arm();
      return;
    }
    if (now >= this.#sessionDueAt) {
      this.#sessionDueAt = Infinity;
      this.#session.checkTime();
    }
    if (this.#exchanges === 0 && this.#limits.idleTimeoutMs > 0 && now >= this.#idleSince + this.#limits.idleTimeoutMs) this.#session.shutdown();
    this.#endIfDone();
    this.#arm();
  }

  /** The client takes what we sent last slowly: lingering begins when it has all of it, or has taken nothing for a while. */
  #stillSending(now: number): boolean {
    const { unsent } = this.#link;
    if (unsent === this.#unsent) return unsent > 0 && now < this.#lingerSince + stalledMs(this.#limits);
    this.#unsent = unsent;
    this.#lingerSince = now;
    return true;
  }
}

function stalledMs({ idleTimeoutMs }: ConnectionLimits): number {
  return idleTimeoutMs > 0 ? idleTimeoutMs : defaultHttp2Limits.stalledTimeoutMs;
}

/** One for each section of `requestLimits` that is in force. */
function sessionLimits(limits: ConnectionLimits): Http2Limits {
  let made = madeLimits.get(limits);
  if (made === undefined) {
    made = Object.freeze({
      ...defaultHttp2Limits,
      streamsMax: limits.streamsMax,
      head: limits.head,
      headerBlockBytesMax: Math.max(defaultHttp2Limits.headerBlockBytesMax, limits.head.bytesMax),
      headerBlockTimeoutMs: limits.headerTimeoutMs,
      stalledTimeoutMs: stalledMs(limits),
      extendedConnect: true,
    });
    madeLimits.set(limits, made);
  }
  return made;
}

const madeLimits = new WeakMap<ConnectionLimits, Http2Limits>();
const lingerMs = 1000;
const drainedCheckMs = 200;
