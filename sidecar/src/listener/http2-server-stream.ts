import { reasons, type Reason } from '@remora/errors/reason';
import { errorCode } from '@remora/http/http2/error-code';
import type { Http2Stream } from '@remora/http/http2/http2-stream';
import type { StreamOwner, StreamReset } from '@remora/http/http2/session-ports';
import { MessageHead } from '@remora/http/message-head';
import { WheelNode } from '../io/timer-wheel.ts';
import type { Deferred } from '../io/turn.ts';
import type { ExchangeRun } from '../pipeline/exchange-run.ts';
import { BodyPace } from './body-pace.ts';
import type { Http2ServerConnection } from './http2-server-connection.ts';
import type { ServerStream } from './server-stream.ts';

/** One request of an HTTP/2 connection: a stream of the session on one side, an exchange on the other. */
export class Http2ServerStream extends WheelNode implements ServerStream, StreamOwner, Deferred {
  readonly #connection: Http2ServerConnection;
  readonly #stream: Http2Stream;
  #run: ExchangeRun | null = null;
  /** The exchange has had the whole request. */
  #requestDone: boolean;
  #wanted = false;
  #later = false;
  #continueDue = false;
  #headSent = false;
  /** A response that has no body, whatever comes. */
  #bodiless = false;
  #tunnel = false;
  /** The client had ended its side before the switch. */
  #endUntold = false;
  /** The stream is over for the client: nothing more is sent. */
  #gone = false;
  #pace: BodyPace | null = null;

  constructor(connection: Http2ServerConnection, stream: Http2Stream, requestDone: boolean) {
    super();
    this.#connection = connection;
    this.#stream = stream;
    this.#requestDone = requestDone;
  }

  /** Once, right after it was made. */
  begin(run: ExchangeRun): void {
    this.#run = run;
    this.#continueDue = run.head.expectContinue;
    // What still comes is only the end of a body without bytes; or, behind a switch, the bytes of the tunnel.
    if (!this.#requestDone && run.head.bodyLength === 0 && run.head.protocol === '') {
      this.#requestDone = true;
      this.#stream.discard();
    }
  }

  // --- from the client --------------------------------------------------------------------------------------------

  onInfo(): void {}

  onHead(): void {}

  onData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    const run = this.#run;
    this.#requestDone ||= end;
    this.#continueDue = false;
    this.#pace?.came(to - at, this.#connection.now());
    this.#wanted = run === null || run.bodyData(bytes, at, to, end);
    return this.#wanted;
  }

  onTrailers(head: MessageHead): void {
    this.#requestDone = true;
    this.#run?.bodyTrailers(head);
  }

  onWritable(): void {
    this.#run?.writable();
  }

  onReset(reset: StreamReset): void {
    this.#gone = true;
    const run = this.#run;
    // What the client did wrong is worth more in the records than that it got no answer.
    if (reset.by === 'local' && reset.reason !== 'stalled' && !this.#headSent) run?.requestFailed(reasons.badRequest, `HTTP/2 ${reset.reason}`);
    else run?.clientGone();
  }

  /** Perhaps within the exchange's own last word: it knows how it ended. */
  onClosed(): void {
    this.#gone = true;
    this.#connection.cancel(this);
  }

  // --- ServerStream -----------------------------------------------------------------------------------------------

  get requestEnded(): boolean {
    return this.#requestDone;
  }

  /** Extended CONNECT knows no refusal with a status that means success. */
  get switchesBySuccess(): boolean {
    return true;
  }

  demandBody(): void {
    if (this.#wanted || this.#gone || (this.#requestDone && !this.#endUntold)) return;
    this.#wanted = true;
    if (this.#continueDue && this.#stream.receivedBytes === 0 && !this.#stream.receiveEnded) this.#stream.sendInfo(continueHead);
    this.#continueDue = false;
    if (!this.#tunnel && !this.#stream.receiveEnded) this.#watchPace();
    if (this.#later) return;
    this.#later = true;
    this.#connection.later(this);
  }

  /** What is held may be delivered: the turn is about to end. */
  runLater(): void {
    this.#later = false;
    if (this.#wanted && this.#endUntold) {
      this.#endUntold = false;
      this.#run?.bodyData(noBytes, 0, 0, true);
    } else if (this.#wanted) this.#stream.resume();
  }

  ignoreBody(): void {
    this.#connection.cancel(this);
    if (!this.#requestDone) this.#stream.discard();
  }

  sendInfo(head: MessageHead): void {
    if (!this.#gone && !this.#headSent) this.#stream.sendInfo(head);
  }

  sendHead(head: MessageHead, end: boolean): boolean {
    if (this.#gone) return true;
    const request = this.#run?.head;
    if (head.protocol !== '') this.#acceptTunnel(head);
    this.#bodiless = !this.#tunnel && (end || request?.method === 'HEAD' || head.status === 204 || head.status === 304);
    this.#headSent = this.#stream.sendHead(head, this.#bodiless);
    return this.#headSent;
  }

  /** HTTP/1.1 answers a switch with 101 and proves that it read the key; here it is 200, and there is no key (RFC 8441 section 5). */
  #acceptTunnel(head: MessageHead): void {
    this.#tunnel = true;
    this.#endUntold = this.#requestDone;
    this.#connection.cancel(this);
    head.setStatus(200);
    head.bodyLength = -1;
    head.removeWhere(isKeyProof);
  }

  sendData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (this.#gone || this.#bodiless) return true;
    return this.#stream.sendData(bytes, at, to, end);
  }

  sendTrailers(head: MessageHead): void {
    if (!this.#gone && !this.#bodiless) this.#stream.sendTrailers(head);
  }

  abort(reason: Reason): void {
    this.#gone = true;
    // A tunnel: what is a TCP reset over HTTP/1.1 (RFC 8441 section 5). Out of time: nothing is broken, and gRPC clients read it as cancelled, not as an internal error.
    this.#stream.reset(this.#tunnel || reason.status === 504 ? errorCode.cancel : errorCode.internalError);
  }

  /** A request that is still coming ends with RST_STREAM(NO_ERROR), behind the response (RFC 9113 section 8.1). */
  exchangeEnded(): void {
    this.#run = null;
    this.#connection.cancel(this);
    this.#connection.exchangeEnded();
    this.#stream.discard();
  }

  // --- time -------------------------------------------------------------------------------------------------------

  #watchPace(): void {
    const limits = this.#connection.bodyLimits;
    const now = this.#connection.now();
    this.#pace ??= new BodyPace(now);
    this.#pace.awaited(now);
    const checkMs = this.#pace.checkInMs(limits, now);
    if (checkMs < Infinity) this.#connection.arm(this, checkMs);
  }

  fire(): void {
    const pace = this.#pace;
    // Nothing is awaited while we hold the client back.
    if (pace === null || this.#gone || this.#requestDone || !this.#wanted || this.#tunnel) return;
    const limits = this.#connection.bodyLimits;
    const now = this.#connection.now();
    const exceeded = pace.exceeded(limits, now);
    if (exceeded === '') this.#connection.arm(this, pace.checkInMs(limits, now));
    else this.#run?.requestFailed(reasons.requestTimeout, 'the body does not come as fast as it must', exceeded);
  }
}

function isKeyProof(name: string): boolean {
  return name === 'sec-websocket-accept';
}

const noBytes = new Uint8Array(0);
const continueHead = new MessageHead();
continueHead.status = 100;
