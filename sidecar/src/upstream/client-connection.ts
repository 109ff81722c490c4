import { asText, type TextBuffer } from '@remora/http/byte-text';
import {
  BodyReader, bodyBad, bodyData, bodyEnd, bodyLast, bodyMore, bodyTooLarge, bodyTrailers, type BodyFraming,
} from '@remora/http/body-reader';
import { headerId } from '@remora/http/header-ids';
import { HeadReader } from '@remora/http/head-reader';
import { connectionClose, connectionKeepAlive, scanComplete, scanIncomplete, type HeadLimits } from '@remora/http/head-scanner';
import { headSizeMax, writeRequestHead } from '@remora/http/head-writer';
import type { MessageHead } from '@remora/http/message-head';
import type { ConnectionRoom } from '@remora/policy-kit/connection-room';
import type { Attempt } from './attempt.ts';
import { sendChunk, sendLastChunk } from '../io/chunk-output.ts';
import type { Link } from '../io/link.ts';
import type { LinkOwner } from '../io/link-owner.ts';
import type { ThreadContext } from '../io/thread-context.ts';
import { WheelNode } from '../io/timer-wheel.ts';
import { makeWebSocketKey, webSocketAccept } from '../io/web-socket-key.ts';
import type { Http1Pool } from './http1-pool.ts';
import type { UpstreamStream } from './upstream-stream.ts';
import { UpstreamTunnel } from './upstream-tunnel.ts';
import { drawAgeMs } from './pool-limits.ts';

/** Bounds for what upstreams send; the same for all, as nobody configures them yet. */
export const upstreamHeadLimits: HeadLimits = { bytesMax: 64 * 1024, fieldsMax: 256 };
/** Interim responses before one final one: a flood of them is not an answer. */
const interimMax = 16;

/**
 * An HTTP/1.1 connection to an upstream: serves one attempt at a time, in order, so the n-th response is the n-th request's. Whatever
 * arrives when nobody asked destroys it.
 */
export class ClientConnection extends WheelNode implements LinkOwner, UpstreamStream {
  readonly pool: Http1Pool;
  /** Has a place for it, of the call that it was opened for. */
  room: ConnectionRoom | null = null;
  readonly #thread: ThreadContext;
  readonly #link: Link;
  readonly #heads: HeadReader;
  readonly #bodies: BodyReader;
  #attempt: Attempt | null = null;
  #connected = false;
  #requests = 0;
  #requestEnded = false;
  #chunkedRequest = false;
  #awaitingHead = false;
  #interim = 0;
  #keepsOpen = true;
  #idleSince = 0;
  #idleTimeoutMs: number;
  /** Takes no more requests from then on. */
  readonly #agedAt: number;
  /** Bytes that came after the consumer said stop: delivered at resume. */
  #held: Uint8Array | null = null;
  #readEnded = false;
  #wanted = true;
  /** What the request asks to switch to; '' where it does not. */
  #protocol = '';
  /** The Sec-WebSocket-Accept that the upstream must answer; '' where no WebSocket was asked for. */
  #accept = '';
  /** The key was made here, so the client need not be told. */
  #keyMade = false;

  constructor(pool: Http1Pool, thread: ThreadContext) {
    super();
    this.pool = pool;
    this.#idleTimeoutMs = pool.limits.idleTimeoutMs;
    this.#agedAt = thread.turn.now() + drawAgeMs(pool.limits, thread.random);
    this.#thread = thread;
    this.#heads = new HeadReader('response', thread.arena, upstreamHeadLimits);
    this.#bodies = new BodyReader(thread.arena, upstreamHeadLimits);
    this.#link = pool.openLink(thread.links, this);
  }

  /** Has served a request before. */
  get reused(): boolean {
    return this.#requests > 1;
  }

  get congested(): boolean {
    return this.#link.congested;
  }

  get connecting(): boolean {
    return !this.#connected;
  }

  begin(attempt: Attempt): void {
    this.#attempt = attempt;
    this.#requests++;
    this.#requestEnded = false;
    this.#awaitingHead = true;
    this.#interim = 0;
    this.#wanted = true;
    this.#held = null;
    attempt.assigned(this, this.#connected);
  }

  // --- the request ------------------------------------------------------------------------------------------------

  /** False where the head cannot be written: nothing was sent. */
  sendHead(head: MessageHead, end: boolean): boolean {
    this.#protocol = head.protocol;
    this.#keyMade = head.protocol === 'websocket' && addWebSocketKey(head);
    this.#accept = head.protocol === 'websocket' ? webSocketAccept(head.valueAt(keyHeader, 0)) : '';
    const out = this.#link.reserve(headSizeMax(head));
    const at = writeRequestHead(head, out, this.#link.outAt);
    if (at < 0) return false;
    this.#link.wrote(at);
    this.#chunkedRequest = head.bodyLength < 0;
    // A request to switch has no body; what follows it belongs to the tunnel, if there will be one.
    this.#requestEnded = end || head.protocol !== '';
    return true;
  }

  sendData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (this.#link.closed) return true;
    if (this.#chunkedRequest) sendChunk(this.#link, bytes, at, to, end);
    else if (to > at) this.#link.send(bytes, at, to);
    if (end) this.#endRequest();
    return !this.#link.congested;
  }

  sendTrailers(head: MessageHead): void {
    if (this.#chunkedRequest && !this.#link.closed) sendLastChunk(this.#link, head);
    this.#endRequest();
  }

  #endRequest(): void {
    this.#requestEnded = true;
  }

  // --- the response -----------------------------------------------------------------------------------------------

  onConnected(): void {
    this.#connected = true;
    this.pool.keepAlive(this.#link, this.pool.limits);
    this.pool.connected();
    this.#attempt?.connected();
  }

  onRead(bytes: TextBuffer, length: number): void {
    if (this.#attempt === null) {
      // Nobody asked (CVE-2026-48931): neither this nor what follows can belong to a later request.
      this.close();
      return;
    }
    if (this.#held !== null) {
      this.#held = Buffer.concat([this.#held, bytes.subarray(0, length)]);
      return;
    }
    this.#feed(bytes, length);
  }

  #feed(bytes: TextBuffer, length: number): void {
    let at = 0;
    while (at < length && this.#attempt !== null) {
      if (!this.#wanted) {
        this.#held = Buffer.from(bytes.subarray(at, length));
        this.#link.pause();
        return;
      }
      at = this.#awaitingHead ? this.#readHead(this.#attempt, bytes, at, length) : this.#readBody(this.#attempt, bytes, at, length);
      if (at < 0) return;
    }
    if (at < length && !this.#link.closed) this.close();
  }

  /** Position behind what was used, -1 where the connection is gone. */
  #readHead(attempt: Attempt, bytes: TextBuffer, at: number, length: number): number {
    const verdict = this.#heads.read(bytes, at, length);
    if (verdict === scanIncomplete) return length;
    if (verdict !== scanComplete) return this.#protocolError(attempt);
    const head = this.#heads.take();
    const { used } = this.#heads;
    if (head.status === 101) return this.#switch(attempt, head, bytes, used, length);
    if (head.status < 200) {
      if (++this.#interim > interimMax) return this.#protocolError(attempt);
      head.bodyLength = 0;
      attempt.onInfo(head);
      return used;
    }
    this.#awaitingHead = false;
    this.#keepsOpen = head.minorVersion === 1 ? (head.connection & connectionClose) === 0 : (head.connection & connectionKeepAlive) !== 0;
    if (head.keepAliveSeconds >= 0) this.#idleTimeoutMs = Math.min(this.pool.limits.idleTimeoutMs, peerIdleMs(head.keepAliveSeconds));
    const bodiless = attempt.bodiless(head.status);
    const framing = responseFraming(head, bodiless);
    this.#bodies.start(framing, head.bodyLength);
    if (head.status === 204) head.bodyLength = 0;
    const end = this.#bodies.done;
    // The connection is free before the consumer hears of the end: it may want it at once for the next request.
    if (end) this.#finishResponse(bytes, used, length);
    attempt.onHead(head, end);
    return end ? length : used;
  }

  /** 101 is only an answer to a request that asked (security.md 1.7), and with a protocol that it asked for. */
  #switch(attempt: Attempt, head: MessageHead, bytes: TextBuffer, at: number, length: number): number {
    if (!isAskedFor(head.protocol, this.#protocol) || !this.#takesAccept(head)) return this.#protocolError(attempt);
    head.setStatus(200);
    head.bodyLength = -1;
    this.#attempt = null;
    // From earlier calls, for the time between two.
    this.#thread.wheels.cancel(this);
    this.pool.switched(this);
    const early = at < length ? asText(Buffer.from(bytes.subarray(at, length))) : null;
    attempt.switchTo(new UpstreamTunnel(this.#link, this.#thread, attempt, { early, readEnded: this.#readEnded, onGone: () => this.pool.removed(this) }));
    attempt.onHead(head, false);
    return -1;
  }

  /** Whoever has not read the key may take what follows for requests: it is no WebSocket, whatever the client makes of it. */
  #takesAccept(head: MessageHead): boolean {
    if (this.#accept === '') return true;
    const agreed = head.count(acceptHeader) === 1 && head.valueAt(acceptHeader, 0) === this.#accept;
    if (this.#keyMade) head.remove(acceptHeader);
    return agreed;
  }

  #readBody(attempt: Attempt, bytes: TextBuffer, at: number, length: number): number {
    const bodies = this.#bodies;
    const event = bodies.read(bytes, at, length);
    const { used } = bodies;
    switch (event) {
      case bodyMore:
        return used;
      case bodyData:
        this.#wanted = attempt.onData(bytes, bodies.dataAt, bodies.dataEnd, false);
        return used;
      case bodyLast:
        this.#finishResponse(bytes, used, length);
        attempt.onData(bytes, bodies.dataAt, bodies.dataEnd, true);
        return length;
      case bodyEnd:
      case bodyTrailers:
        this.#finishResponse(bytes, used, length);
        if (bodies.trailers === null) attempt.onData(bytes, used, used, true);
        else attempt.onTrailers(bodies.trailers);
        return length;
      case bodyBad:
      case bodyTooLarge:
        return this.#protocolError(attempt);
    }
  }

  #protocolError(attempt: Attempt): number {
    this.#attempt = null;
    this.close();
    attempt.onProtocolError();
    return -1;
  }

  /** The response is complete. `bytes[at, to)` came behind it: nothing may. */
  #finishResponse(_bytes: TextBuffer, at: number, to: number): void {
    this.#attempt = null;
    if (at < to) this.#keepsOpen = false;
    this.#afterResponse();
  }

  #afterResponse(): void {
    if (!this.#requestEnded || !this.#keepsOpen || this.#readEnded || this.#requests >= this.pool.limits.requestsPerConnectionMax) {
      this.close();
      return;
    }
    this.#link.resume();
    const now = this.#thread.turn.now();
    this.#idleSince = now;
    if (now >= this.#agedAt || !this.pool.release(this)) this.close();
    else if (this.#attempt === null && !this.#thread.wheels.isArmed(this)) this.#thread.wheels.arm(this, Math.min(this.#idleTimeoutMs, this.#agedAt - now));
  }

  /** The consumer wants more. Runs at the end of a turn. */
  resumeReading(): void {
    this.#wanted = true;
    const held = this.#held;
    this.#held = null;
    if (held !== null) this.#feed(held as TextBuffer, held.length);
    if (!this.#wanted || this.#held !== null) return;
    this.#link.resume();
    if (this.#readEnded && !this.#link.closed) this.#inputEnded();
  }

  // --- the end ----------------------------------------------------------------------------------------------------

  onEnd(): void {
    this.#readEnded = true;
    // What is held may have the rest of the answer.
    if (this.#held === null) this.#inputEnded();
  }

  #inputEnded(): void {
    const attempt = this.#attempt;
    if (attempt === null) {
      this.close();
      return;
    }
    if (!this.#awaitingHead && this.#bodies.untilClose) {
      this.#attempt = null;
      this.close();
      attempt.onData(empty, 0, 0, true);
      return;
    }
    this.close();
  }

  onDrain(): void {
    this.#attempt?.onWritable();
  }

  onClosed(failed: boolean): void {
    this.#thread.wheels.cancel(this);
    const attempt = this.#attempt;
    this.#attempt = null;
    if (!this.#connected && attempt !== null) this.pool.connectFailed(this.#thread.turn.now());
    this.pool.removed(this);
    attempt?.onConnectionLost(this.#connected, failed, this.#link.failure);
  }

  /**
   * Gives up the attempt; its consumer knows already. The peer must see that: to a sidecar an orderly end after a complete request is a half-close, and
   * its app would go on working for nobody.
   */
  abandon(): void {
    this.#attempt = null;
    this.pool.notIdle(this);
    // A reset waits for a connection that is still being made.
    if (this.#connected) this.#link.abort();
    else this.#link.destroy();
  }

  close(): void {
    this.pool.notIdle(this);
    this.#link.destroy();
  }

  /** Idle for too long? Armed once; compares when it fires. */
  fire(): void {
    if (this.#attempt !== null || this.#link.closed) return;
    const left = Math.min(this.#idleSince + this.#idleTimeoutMs, this.#agedAt) - this.#thread.turn.now();
    if (left <= 0) this.close();
    else this.#thread.wheels.arm(this, left);
  }
}

/** The upstream closes after this time: be earlier, so that no request meets its FIN. */
function peerIdleMs(seconds: number): number {
  return Math.max(250, seconds * 1000 - 1000);
}

/** A client that came over HTTP/2 has sent no key. False: the client made it. */
function addWebSocketKey(head: MessageHead): boolean {
  if (head.has(keyHeader)) return false;
  head.putText(keyHeader, makeWebSocketKey());
  return true;
}

/** `asked` may be a list; names and versions compare without case (RFC 9110 section 7.8). */
function isAskedFor(protocol: string, asked: string): boolean {
  if (protocol === '' || asked === '') return false;
  return asked === protocol || asked.toLowerCase().split(', ').includes(protocol.toLowerCase());
}

function responseFraming(head: MessageHead, bodiless: boolean): BodyFraming {
  if (bodiless) return 'none';
  if (head.chunked) return 'chunked';
  return head.bodyLength < 0 ? 'close' : 'length';
}

const keyHeader = headerId('sec-websocket-key');
const acceptHeader = headerId('sec-websocket-accept');
const empty = new Uint8Array(0);
