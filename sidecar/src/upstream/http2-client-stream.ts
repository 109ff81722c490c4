import { errorCode } from '@remora/http/http2/error-code';
import type { FailureReason } from '@remora/http/http2/failure-reason';
import { headerId } from '@remora/http/header-ids';
import type { Http2Stream } from '@remora/http/http2/http2-stream';
import type { StreamOwner, StreamReset } from '@remora/http/http2/session-ports';
import type { MessageHead } from '@remora/http/message-head';
import type { Attempt } from './attempt.ts';
import type { Http2ClientConnection } from './http2-client-connection.ts';
import type { UpstreamStream } from './upstream-stream.ts';

/**
 * One attempt on an HTTP/2 connection. Until the connection is made it has no stream: it is on the connection's list. Flow control is the
 * pipeline's: what the consumer does not take is not credited to the peer, and what the peer gives no window for holds the producer back.
 */
export class Http2ClientStream implements UpstreamStream, StreamOwner {
  readonly reused: boolean;
  readonly #connection: Http2ClientConnection;
  #attempt: Attempt | null;
  #stream: Http2Stream | null = null;
  /** What the request asks to switch to (RFC 8441); '' where it does not. */
  #protocol = '';
  /** The peer has: each side ends on its own. */
  #tunnel = false;

  constructor(connection: Http2ClientConnection, attempt: Attempt) {
    this.#connection = connection;
    this.#attempt = attempt;
    this.reused = connection.requests > 1;
  }

  // --- UpstreamStream ---------------------------------------------------------------------------------------------

  sendHead(head: MessageHead, end: boolean): boolean {
    const stream = this.#connection.open(this);
    if (stream === null) {
      // The peer took back room that it had given: as if it had refused.
      this.#connection.refuseLater(this);
      return true;
    }
    this.#stream = stream;
    this.#protocol = head.protocol;
    return stream.sendHead(head.protocol === '' ? head : withoutKey(head), end);
  }

  sendData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.#stream === null || this.#stream.sendData(bytes, at, to, end);
  }

  sendTrailers(head: MessageHead): void {
    this.#stream?.sendTrailers(head);
  }

  resumeReading(): void {
    this.#stream?.resume();
  }

  abandon(): void {
    this.#attempt = null;
    if (this.#stream === null) this.#connection.leave(this);
    else this.#stream.reset(errorCode.cancel);
  }

  // --- from the connection ----------------------------------------------------------------------------------------

  assign(connected: boolean): void {
    this.#attempt?.assigned(this, connected);
  }

  connected(): void {
    this.#attempt?.connected();
  }

  /** The peer knows no extended CONNECT: the call goes on elsewhere. */
  giveAway(): Attempt | null {
    return this.#take();
  }

  /** Without a stream: the connection was never made. */
  connectFailed(failure: string): void {
    const attempt = this.#take();
    attempt?.onConnectionLost(false, true, failure);
  }

  refused(): void {
    const attempt = this.#take();
    attempt?.onRefused();
  }

  // --- StreamOwner ------------------------------------------------------------------------------------------------

  onInfo(head: MessageHead): void {
    this.#attempt?.onInfo(head);
  }

  onHead(head: MessageHead, end: boolean): void {
    if (this.#protocol !== '' && head.status >= 200 && head.status < 300) {
      this.#switch(head, end);
      return;
    }
    if (head.status === 204) head.bodyLength = 0;
    const attempt = end ? this.#finish() : this.#attempt;
    attempt?.onHead(head, end);
  }

  #switch(head: MessageHead, end: boolean): void {
    this.#tunnel = true;
    head.setStatus(200);
    head.protocol = this.#protocol;
    head.bodyLength = -1;
    head.remove(acceptHeader);
    this.#attempt?.onHead(head, false);
    if (end) this.#attempt?.onData(noBytes, 0, 0, true);
  }

  onData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    const attempt = end && !this.#tunnel ? this.#finish() : this.#attempt;
    return attempt === null || attempt.onData(bytes, at, to, end);
  }

  onTrailers(head: MessageHead): void {
    this.#finish()?.onTrailers(head);
  }

  onWritable(): void {
    this.#attempt?.onWritable();
  }

  onReset(reset: StreamReset): void {
    const attempt = this.#take();
    if (attempt === null) return;
    if (reset.unprocessed) attempt.onRefused();
    else if (reset.by === 'peer' || silence.has(reset.reason)) attempt.onConnectionLost(true, true);
    else attempt.onProtocolError();
  }

  onClosed(): void {
    this.#connection.left();
  }

  /**
   * The response is complete. Nobody needs the rest of the request: NO_ERROR tells the peer that its answer arrived all the same
   * (RFC 9113 section 8.1 has it the other way round).
   */
  #finish(): Attempt | null {
    const stream = this.#stream;
    const attempt = this.#take();
    if (stream !== null && (!stream.sendEnded || stream.queuedBytes > 0)) stream.reset(errorCode.noError);
    return attempt;
  }

  #take(): Attempt | null {
    const attempt = this.#attempt;
    this.#attempt = null;
    return attempt;
  }
}

/** The key belongs to the client's connection: HTTP/2 proves nothing with it (RFC 8441 section 5). */
function withoutKey(head: MessageHead): MessageHead {
  const without = head.fork();
  without.remove(keyHeader);
  return without;
}

const keyHeader = headerId('sec-websocket-key');
const acceptHeader = headerId('sec-websocket-accept');
const noBytes = new Uint8Array(0);
/** Ways in which a peer is gone; every other end that was not its own word is a rule that it broke. */
const silence: ReadonlySet<FailureReason> = new Set(['peer-closed', 'peer-go-away', 'keep-alive-timeout', 'settings-timeout', 'stalled', 'output-queue']);
