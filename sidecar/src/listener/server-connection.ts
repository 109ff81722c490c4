import { reasons, type Reason } from '@remora/errors/reason';
import {
  BodyReader, bodyBad, bodyData, bodyEnd, bodyLast, bodyMore, bodyTooLarge, bodyTrailers,
} from '@remora/http/body-reader';
import { asText, type TextBuffer } from '@remora/http/byte-text';
import { HeadReader } from '@remora/http/head-reader';
import {
  connectionClose, connectionKeepAlive, scanComplete, scanIncomplete, scanTooLarge, scanVersion, unknownExpectation, type ScanVerdict,
} from '@remora/http/head-scanner';
import type { MessageHead } from '@remora/http/message-head';
import type { Awaited } from './client-patience.ts';
import { ClientWatch, type WatchedClient } from './client-watch.ts';
import { answerFor } from '../pipeline/answers.ts';
import { becomesTunnelRequest } from '../pipeline/connect-request.ts';
import type { Engine } from '../pipeline/engine.ts';
import type { ExchangeRun } from '../pipeline/exchange-run.ts';
import type { Link } from '../io/link.ts';
import type { AcceptedConnection } from './accepted-connection.ts';
import { LingeringLink } from './lingering-link.ts';
import { ResponseWriter } from './response-writer.ts';
import type { ServerCodec } from './server-codec.ts';
import type { ServerStream } from './server-stream.ts';
import { ServerTunnel } from './server-tunnel.ts';
import { sendSwitchHead } from './switch-head.ts';

/**
 * An HTTP/1.1 connection from a client: one exchange at a time, the next one when it has completed. Pipelined requests wait in the buffer
 * they came in, at most one read, and reading pauses.
 */
export class ServerConnection implements ServerCodec, ServerStream, WatchedClient {
  readonly #engine: Engine;
  readonly #peer: AcceptedConnection;
  #link!: Link;
  #responses!: ResponseWriter;
  readonly #heads: HeadReader;
  readonly #bodies: BodyReader;
  readonly #watch: ClientWatch;
  /** The generation that the watch's limits come from. */
  #limitsOf: object | null;
  #run: ExchangeRun | null = null;
  #requests = 0;
  /** Input that cannot be used yet. */
  #held: TextBuffer | null = null;
  #feeding = false;
  #bodyWanted = false;
  #ignoringBody = false;
  #requestDone = true;
  #continueDue = false;
  #readEnded = false;
  /** The current response must be the last. */
  #closing = false;
  /** Nothing is answered any more: what still comes is dropped until the client closes. */
  #lingering = false;

  constructor(engine: Engine, peer: AcceptedConnection) {
    this.#engine = engine;
    this.#peer = peer;
    const limits = engine.limitsOf(peer.binding);
    this.#watch = new ClientWatch(this, engine.thread, limits);
    this.#limitsOf = engine.generation;
    this.#heads = new HeadReader('request', engine.thread.arena, limits.head);
    this.#bodies = new BodyReader(engine.thread.arena, limits.head);
  }

  attach(link: Link): void {
    this.#link = link;
    this.#responses = new ResponseWriter(link);
    this.#watch.moved();
  }

  get busy(): number {
    return this.#run === null ? 0 : 1;
  }

  get requestEnded(): boolean {
    return this.#requestDone;
  }

  // --- input ------------------------------------------------------------------------------------------------------

  onRead(bytes: TextBuffer, length: number): void {
    if (this.#lingering) return;
    if (this.#held === null) {
      this.#feed(bytes, 0, length, false);
      return;
    }
    // The one read that was under way when reading paused.
    this.#held = asText(Buffer.concat([this.#held, bytes.subarray(0, length)]));
    this.#link.pause();
  }

  /** `own`: the bytes are ours, and may be kept as they are. */
  #feed(bytes: TextBuffer, from: number, to: number, own: boolean): void {
    this.#feeding = true;
    let at = from;
    while (at < to && !this.#lingering) {
      if (this.#run === null) at = this.#readHead(bytes, at, to);
      else if (this.#requestDone || !(this.#bodyWanted || this.#ignoringBody)) {
        this.#hold(bytes, at, to, own);
        break;
      } else at = this.#readBody(this.#run, bytes, at, to);
    }
    this.#feeding = false;
  }

  /** Copied once for each read, not once for each of the pipelined requests in it. */
  #hold(bytes: TextBuffer, at: number, to: number, own: boolean): void {
    const rest = bytes.subarray(at, to);
    this.#held = asText(own ? rest : Buffer.from(rest));
    if (!this.#requestDone) this.#link.pause();
  }

  /** Goes on with held input, where it can be used now. */
  #feedHeld(): void {
    while (this.#held !== null && !this.#feeding && !this.#lingering) {
      if (this.#run !== null && (this.#requestDone || !(this.#bodyWanted || this.#ignoringBody))) return;
      const held = this.#held;
      this.#held = null;
      this.#feed(held, 0, held.length, true);
    }
    if (this.#held !== null || this.#lingering || this.#feeding) return;
    this.#link.resume();
    if (this.#readEnded) this.#inputEnded();
  }

  #readHead(bytes: TextBuffer, at: number, to: number): number {
    const fresh = !this.#heads.waiting;
    if (fresh && this.#limitsOf !== this.#engine.generation) this.#refreshLimits();
    const verdict = this.#heads.read(bytes, at, to);
    if (verdict === scanIncomplete) {
      if (fresh) this.#watch.headBegan();
      return to;
    }
    if (verdict !== scanComplete) {
      this.#refuseHead(verdict);
      return to;
    }
    const { used } = this.#heads;
    this.#begin(this.#heads.take());
    return used;
  }

  #refreshLimits(): void {
    this.#limitsOf = this.#engine.generation;
    this.#watch.limits = this.#engine.limitsOf(this.#peer.binding);
    this.#heads.setLimits(this.#watch.limits.head);
  }

  #begin(head: MessageHead): void {
    const { minorVersion, connection, bodyLength } = head;
    this.#requests++;
    head.expectContinue &&= minorVersion === 1;
    this.#closing = minorVersion === 0 ? (connection & connectionKeepAlive) === 0 : (connection & connectionClose) !== 0;
    if (this.#requests >= this.#watch.limits.requestsPerConnectionMax || this.#peer.binding.draining || this.#engine.admission.endsKeepAlive) this.#closing = true;
    this.#responses.answers(head);
    this.#bodyWanted = false;
    this.#ignoringBody = false;
    this.#continueDue = head.expectContinue;
    this.#watch.requestBegan();
    this.#bodies.start(bodyLength < 0 ? 'chunked' : 'length', bodyLength);
    this.#requestDone = this.#bodies.done;
    const connect = head.method === 'CONNECT';
    const sound = !connect || becomesTunnelRequest(head, bodyLength !== 0);
    const run = this.#engine.makeRun(this, this.#peer, head);
    this.#run = run;
    // What follows is not HTTP, also where it is refused.
    if (connect) this.#closing = true;
    if (!sound) run.requestFailed(reasons.badRequest, 'CONNECT has no body');
    else if ((connection & unknownExpectation) !== 0) run.refuse(answerFor(reasons.expectationFailed, ''));
    else this.#engine.start(run, this.#peer);
  }

  #readBody(run: ExchangeRun, bytes: TextBuffer, at: number, to: number): number {
    const bodies = this.#bodies;
    const event = bodies.read(bytes, at, to);
    this.#continueDue = false;
    let arrived = 0;
    switch (event) {
      case bodyMore:
        break;
      case bodyData:
        arrived = bodies.dataEnd - bodies.dataAt;
        if (!this.#ignoringBody) this.#bodyWanted = run.bodyData(bytes, bodies.dataAt, bodies.dataEnd, false);
        break;
      case bodyLast:
        this.#requestDone = true;
        if (!this.#ignoringBody) run.bodyData(bytes, bodies.dataAt, bodies.dataEnd, true);
        break;
      case bodyEnd:
      case bodyTrailers:
        this.#requestDone = true;
        if (this.#ignoringBody) break;
        if (bodies.trailers === null) run.bodyData(bytes, at, at, true);
        else run.bodyTrailers(bodies.trailers);
        break;
      case bodyBad:
      case bodyTooLarge:
        this.#closing = true;
        run.requestFailed(event === bodyBad ? reasons.badRequest : reasons.headersTooLarge, 'the body is not framed as it says');
        return to;
    }
    this.#watch.bodyCame(arrived);
    return bodies.used;
  }

  #refuseHead(verdict: ScanVerdict): void {
    this.#closing = true;
    this.#requestDone = false;
    const reason = verdict === scanTooLarge ? reasons.headersTooLarge : verdict === scanVersion ? reasons.versionNotSupported : reasons.badRequest;
    const limit = this.#heads.tooManyFields ? '/headerCount' : '/headerBytes';
    this.#failUnread(reason, verdict === scanTooLarge ? limit : '');
  }

  /** Answers a request that was not read. */
  #failUnread(reason: Reason, limit: string): void {
    this.#responses.answers(null);
    const run = this.#engine.makeRun(this, this.#peer, null);
    this.#run = run;
    run.requestFailed(reason, '', limit);
  }

  onEnd(): void {
    this.#readEnded = true;
    if (this.#held === null || (this.#run !== null && this.#watch.limits.halfCloseCancels)) this.#inputEnded();
  }

  /** FIN: after a complete request it is a half-close, and the answer still goes out (RFC 9112 section 9.6), unless the listener takes it for a farewell. */
  #inputEnded(): void {
    this.#closing = true;
    const run = this.#run;
    // Behind an answer that is still gathered: what is incomplete gets none, what came before it does.
    if (run === null) this.#link.end();
    else if (!this.#requestDone || this.#watch.limits.halfCloseCancels) {
      run.clientGone();
      // Of an answer that has begun nothing more comes: not in an order that could be taken for its end.
      if (this.#responses.headSent) this.abort();
      else {
        this.#run = null;
        this.#linger();
      }
    }
  }

  onDrain(): void {
    this.#watch.moved();
    this.#run?.writable();
  }

  onClosed(): void {
    this.#watch.cancel();
    const run = this.#run;
    this.#run = null;
    this.#held = null;
    run?.clientGone();
    this.#peer.closed();
  }

  // --- ServerStream -----------------------------------------------------------------------------------------------

  demandBody(): void {
    if (this.#bodyWanted || this.#requestDone || this.#ignoringBody) return;
    this.#bodyWanted = true;
    if (this.#continueDue && this.#held === null) {
      this.#continueDue = false;
      this.#link.send(continueBytes, 0, continueBytes.length);
    }
    this.#watch.bodyBegan();
    if (!this.#feeding) this.#engine.thread.turn.later(this);
  }

  ignoreBody(): void {
    if (this.#requestDone) return;
    // What is not read cannot be told from the next request: this one is the last.
    this.#closing = true;
    this.#ignoringBody = true;
    if (!this.#feeding) this.#engine.thread.turn.later(this);
  }

  runLater(): void {
    if (this.#run !== null || this.#held !== null) this.#feedHeld();
  }

  sendInfo(head: MessageHead): void {
    this.#responses.info(head);
  }

  sendHead(head: MessageHead, end: boolean): boolean {
    const run = this.#run;
    if (run !== null && run.head.protocol !== '') {
      if (head.protocol !== '') return this.#switch(run, head);
      // What the client may have sent already is not HTTP: it is never read as the next request.
      this.#closing = true;
    }
    // A final answer before the request ended closes (CVE-2024-23326).
    if (!this.#requestDone || this.#peer.binding.draining || this.#peer.outdated || this.#peer.certificateOver || this.#engine.admission.endsKeepAlive) this.#closing = true;
    if (this.#responses.endsByClosing(head, end)) this.#closing = true;
    return this.#responses.head(head, end, this.#closing);
  }

  /** 101, or 200 to CONNECT: from here on the link belongs to the tunnel, and what came early is its first bytes. */
  #switch(run: ExchangeRun, head: MessageHead): boolean {
    if (!sendSwitchHead(this.#link, run.head, head)) return false;
    this.#watch.cancel();
    const early = this.#held;
    this.#held = null;
    const tunnel = new ServerTunnel(this.#link, this.#engine.thread, { early, readEnded: this.#readEnded, onGone: () => this.onClosed() });
    tunnel.carry(run);
    tunnel.sendHead(head, false);
    run.switchTo(tunnel);
    return true;
  }

  sendData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (!this.#responses.data(bytes, at, to, end)) return true;
    this.#watch.moved();
    if (!end && this.#link.congested) {
      this.#watch.idle();
      return false;
    }
    return true;
  }

  sendTrailers(head: MessageHead): void {
    this.#responses.trailers(head);
  }

  abort(_reason?: Reason): void {
    this.#run = null;
    this.#lingering = true;
    // Behind a length or chunks a FIN is recognised as broken; an RST also where the end of the connection would end the body.
    this.#link.flush();
    this.#link.abort();
  }

  exchangeEnded(): void {
    this.#run = null;
    if (this.#lingering) return;
    if (this.#closing || !this.#requestDone) {
      this.#linger();
      return;
    }
    this.#watch.moved();
    this.#watch.idle();
    if (this.#held !== null && !this.#feeding) this.#engine.thread.turn.later(this);
  }

  /** Ends our side, and leaves the connection to its last moments. */
  #linger(): void {
    this.#lingering = true;
    this.#held = null;
    this.#watch.cancel();
    LingeringLink.takeOver(this.#link, this.#engine.thread, { idleTimeoutMs: this.#watch.limits.idleTimeoutMs, onGone: () => this.onClosed() });
  }

  /**
   * Closes when the exchange under way has completed. An idle connection is closed after a while of quiet: a request that is on its way
   * now is still answered, and told to go elsewhere.
   */
  drain(): void {
    if (this.#run !== null || this.#lingering || this.#heads.waiting) return;
    this.#watch.farewell();
  }

  // --- time -------------------------------------------------------------------------------------------------------

  get awaited(): Awaited {
    if (this.#run === null) return this.#heads.waiting ? 'head' : this.#peer.binding.draining ? 'farewell' : 'request';
    if (this.#link.congested) return 'reader';
    return this.#requestDone || !this.#bodyWanted ? 'nothing' : 'body';
  }

  tooLate(exceeded: string | undefined): void {
    const run = this.#run;
    if (run === null && this.#heads.waiting) {
      this.#heads.clear();
      this.#refuseSlow();
    } else if (run === null) this.#linger();
    else if (this.#link.congested) {
      run.clientGone();
      this.#link.abort();
    } else {
      this.#closing = true;
      run.requestFailed(reasons.requestTimeout, 'the body does not come as fast as it must', exceeded);
    }
  }

  #refuseSlow(): void {
    this.#closing = true;
    this.#requestDone = false;
    this.#failUnread(reasons.requestTimeout, '/headerTimeout');
  }
}

const continueBytes = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n');
