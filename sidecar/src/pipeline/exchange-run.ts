import { reasons, type Reason } from '@remora/errors/reason';
import type { MessageHead } from '@remora/http/message-head';
import type { Answer, Sink, Source } from '@remora/policy-kit/exchange';
import { requestChain, responseChain } from './body-chains.ts';
import { BodyJoint } from './body-joint.ts';
import { grpcEnding, grpcStatusIn, grpcWebEnding, grpcWebMeterFor } from './grpc-answer.ts';
import type { GrpcWebMeter } from './grpc-web-meter.ts';
import { answerFor, limitAnswer } from './answers.ts';
import { isConnection } from './connection-head.ts';
import { closeTunnel } from './close-tunnel.ts';
import { countEnd, passedOnFailure } from './count-end.ts';
import type { Engine } from './engine.ts';
import { FilteredExchange } from './filtered-exchange.ts';
import type { ExchangeTimer } from './filter-timers.ts';
import type { CallerPlace, PlacePin, ProviderRoute, ResolvedTarget } from '../generation/places.ts';
import { openTunnel } from './open-tunnel.ts';
import type { RequestTrace } from './request-trace.ts';
import { ResponseSink } from './response-sink.ts';
import { SwitchJoint } from './switch-joint.ts';
import { describeTunnel } from './tunnel-description.ts';
import type { Tunnel, TunnelEnd, TunnelOwner } from './tunnel.ts';
import type { TunnelDirection } from './tunnel-half.ts';
import type { ListenerBinding } from '../listener/listener-binding.ts';
import type { SeriesRow } from '../records/series-rows.ts';
import type { ServerStream } from '../listener/server-stream.ts';
import { UpstreamCall } from '../upstream/upstream-call.ts';

/**
 * One exchange on its way: filters, call, response, end. Source of the request body for the layers; its ResponseSink is where the
 * response ends. Whatever happens, it completes exactly once.
 */
export class ExchangeRun extends FilteredExchange implements Source, TunnelOwner {
  declare trace: RequestTrace | null;
  /** What the inbound port or gateway listener chose; null on the outbound side. */
  route: ProviderRoute | null = null;
  /** Where the call went, with the settings that limit it; null before. */
  caller: CallerPlace | null = null;
  /** Where it came in. */
  binding: ListenerBinding | null = null;
  /** The place whose policy ended its tunnel: one that it did not begin on. */
  revokedBy: PlacePin | null = null;
  /** Delays of filters that have not fired: they go with the exchange. */
  timers: ExchangeTimer | null = null;
  /** Where it was sent; null: nowhere. */
  target: ResolvedTarget | null = null;
  #stream: ServerStream | null;
  #ended = false;
  #headSent = false;
  #bodySink: Sink | null = null;
  #responseSource: Source | null = null;
  #row: SeriesRow | null = null;
  #call: UpstreamCall | null = null;
  #live: Tunnel | null = null;
  #web: GrpcWebMeter | null = null;
  #generation = 0;

  constructor(engine: Engine, stream: ServerStream, head: MessageHead) {
    super(engine);
    this.#stream = stream;
    this.head = head;
  }

  get ended(): boolean {
    return this.#ended;
  }

  // --- the request ------------------------------------------------------------------------------------------------

  protected filtersPassed(): void {
    this.engine.route(this);
  }

  /** Sends the call through the layers. */
  dispatch(caller: CallerPlace, target: ResolvedTarget): void {
    this.destination = target.service;
    this.target = target;
    this.caller = caller;
    const joint = this.wantsRequestBody === 0 || this.head.bodyLength === 0 ? null : new BodyJoint();
    const call = new UpstreamCall(this, joint ?? this, target);
    if (this.head.protocol !== '') this.#call = call;
    const response = new ResponseSink(this);
    const sink = caller.dispatch(call, this.wantsResponseBody === 0 ? response : this.#filtered(response));
    if (this.#ended) return;
    this.#bodySink = joint === null ? sink : requestChain(this.pin.filters, this, joint, sink);
  }

  countIn(row: SeriesRow): void {
    if (this.#row !== null) return;
    this.#row = row;
    row.began();
  }

  #filtered(response: ResponseSink): Sink {
    const chain = responseChain(this.pin.filters, this, response);
    return this.head.protocol === '' ? chain : new SwitchJoint(chain, response);
  }

  // --- source of the request body: called by the layers -----------------------------------------------------------

  resume(): void {
    // What follows a request to switch belongs to the tunnel: without one, to nobody.
    if (this.held !== null) this.held.resume();
    else if (this.tunnel || this.head.protocol === '') this.#stream?.demandBody();
  }

  stop(_reason: Reason): void {
    this.#bodySink = null;
    this.dropHeld();
    this.#stream?.ignoreBody();
  }

  protected demandBody(): void {
    this.#stream?.demandBody();
  }

  playHeld(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.#bodySink?.data(bytes, at, to, end) ?? true;
  }

  playHeldTrailers(trailers: MessageHead): void {
    this.#bodySink?.trailers(trailers);
  }

  // --- from the codec ---------------------------------------------------------------------------------------------

  /** False: no more until `demandBody`. */
  bodyData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    this.bytesIn += to - at;
    if (this.#live !== null) return this.#live.carry(this.#live.in, bytes, at, to, end);
    if (this.held !== null) return this.holdData(this.held, bytes, at, to, end);
    const sink = this.#bodySink;
    return sink === null || sink.data(bytes, at, to, end);
  }

  bodyTrailers(head: MessageHead): void {
    const { held } = this;
    if (held === null) this.#bodySink?.trailers(head);
    else this.holdTrailers(held, head);
  }

  /** The client broke its request, or is too slow with it. `limit`: the field of `requestLimits` that it exceeds. */
  requestFailed(reason: Reason, detail: string, limit = ''): void {
    this.refuse(limit === '' ? answerFor(reason, detail) : limitAnswer(reason, 'requestLimits', limit, detail));
  }

  /** What was queued for the client has been written. */
  writable(): void {
    this.#responseSource?.resume();
  }

  /** The client is gone. */
  clientGone(): void {
    if (this.#ended) return;
    this.#stream = null;
    this.#dropCall(reasons.downstreamReset);
    this.refusal ??= answerFor(reasons.downstreamReset, '');
    this.#complete();
  }

  // --- from the response sink -------------------------------------------------------------------------------------

  onBind(from: Source): void {
    this.#responseSource = from;
  }

  onInfo(head: MessageHead): void {
    if (!this.#ended && !this.#headSent) this.#stream?.sendInfo(head);
  }

  onHead(head: MessageHead, end: boolean): void {
    if (this.#ended || this.#headSent) return;
    if (this.#refusesToSwitch(head)) {
      this.refuse(answerFor(reasons.upstreamProtocol, `the instance answers ${head.status} and does not switch to ${this.head.protocol}`));
      return;
    }
    this.answeredAt = this.engine.thread.turn.now();
    this.tunnel = head.protocol !== '';
    const failure = this.#runResponseHooks(head);
    this.#web = grpcWebMeterFor(this.head, head);
    if (failure === null && this.#sendHead(head, end)) {
      if (this.tunnel) this.#openTunnel(head.protocol);
      return;
    }
    this.tunnel = false;
    this.#dropCall(reasons.filterFailed);
    this.#sendAnswer(failure ?? answerFor(reasons.filterFailed, 'the response head cannot be written'));
  }

  onData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    const stream = this.#stream;
    if (this.#ended || stream === null || !this.#headSent) return true;
    this.bytesOut += to - at;
    if (this.#web !== null) this.#followWeb(this.#web, bytes, at, to);
    if (this.#live !== null) return this.#live.carry(this.#live.out, bytes, at, to, end);
    const more = stream.sendData(bytes, at, to, end);
    if (end) this.#complete();
    return more;
  }

  #followWeb(web: GrpcWebMeter, bytes: Uint8Array, at: number, to: number): void {
    web.feed(bytes, at, to);
    if (web.status >= 0) this.grpcStatus = web.status;
  }

  onTrailers(head: MessageHead): void {
    if (this.#ended || !this.#headSent) return;
    this.grpcStatus = grpcStatusIn(head, this.responseHead);
    this.#stream?.sendTrailers(head);
    this.#complete();
  }

  onReset(reason: Reason): void {
    if (this.#ended) return;
    this.#responseSource = null;
    const { limit } = this;
    if (limit === null) this.refuse(answerFor(reason, ''));
    else this.refuse(limitAnswer(reason, limit.kind ?? (limit.pointer === '' ? '' : 'timeout'), limit.pointer, limit.detail, limit.fields));
  }

  // --- answers made here ------------------------------------------------------------------------------------------

  /** Ends what is under way, and answers where that is still possible. */
  refuse(answer: Answer): void {
    if (this.#ended) return;
    this.#dropCall(answer.reason);
    if (this.#headSent && this.#endAsGrpc(answer)) return;
    if (this.#headSent || answer.status === 0 || isConnection(this.head)) {
      this.refusal ??= answer;
      this.#stream?.abort(answer.reason);
      this.#complete();
      return;
    }
    this.#sendAnswer(this.engine.hooks.rewrite(this.pin.filters, this.passed, this, answer));
  }

  /** A gRPC response that has begun ends with the status of what went wrong, in trailers; gRPC-Web has a frame for them. */
  #endAsGrpc(answer: Answer): boolean {
    const { trusted } = this.connection;
    const trailers = grpcEnding(this.head, this.responseHead, answer, trusted);
    const frame = this.#web === null ? null : grpcWebEnding(this.head, this.#web, answer, trusted);
    if (trailers === null && frame === null) return false;
    this.refusal ??= answer;
    if (trailers !== null) this.onTrailers(trailers);
    else if (frame !== null) this.onData(frame, 0, frame.length, true);
    return true;
  }

  #sendAnswer(answer: Answer): void {
    if (answer.status >= 400) this.refusal = answer;
    if (this.trace !== null) this.engine.tracer?.decide(this);
    this.engine.ensureRequestId(this);
    const { head, body } = this.engine.encode(this, answer);
    this.sendOwn(head, body);
  }

  /** A response made here: through the hooks of the filters that have run, then out. */
  sendOwn(head: MessageHead, body: Uint8Array): void {
    this.answeredAt = this.engine.thread.turn.now();
    const failure = this.#runResponseHooks(head);
    const sendsBody = body.length > 0 && this.head.method !== 'HEAD';
    if (failure !== null || !this.#sendHead(head, !sendsBody)) {
      this.refusal ??= failure;
      this.#stream?.abort(reasons.filterFailed);
      this.#complete();
      return;
    }
    if (sendsBody) this.onData(body, 0, body.length, true);
  }

  // --- the response -----------------------------------------------------------------------------------------------

  /** Answers what went wrong in the hooks. */
  #runResponseHooks(head: MessageHead): Answer | null {
    this.responseHead = head;
    return this.engine.hooks.response(this.pin.filters, this.passed, this, head);
  }

  /** False where it cannot be written. */
  #sendHead(head: MessageHead, end: boolean): boolean {
    const stream = this.#stream;
    if (stream === null) return true;
    if (!stream.sendHead(head, end)) return false;
    this.#headSent = true;
    this.grpcStatus = grpcStatusIn(head, head);
    // A switch is one status in all records, whatever the client's codec writes.
    this.status = head.protocol === '' || this.head.method === 'CONNECT' ? head.status : 101;
    if (end) this.#complete();
    return true;
  }

  /** A success that the client's codec would take for the switch that it is not. */
  #refusesToSwitch(head: MessageHead): boolean {
    return this.head.protocol !== '' && head.protocol === '' && head.status < 300 && this.#stream?.switchesBySuccess === true;
  }

  // --- tunnels ----------------------------------------------------------------------------------------------------

  /** The codec's word with the head of a switch: the exchange goes on over this stream. */
  switchTo(stream: ServerStream): void {
    this.#stream = stream;
  }

  #openTunnel(protocol: string): void {
    this.#live = openTunnel(this, this.engine, { protocol, idleMs: this.#call?.tunnelIdleMs ?? 0, maxMs: this.#call?.maxStreamMs ?? 0 });
    this.#generation = this.engine.tunnels.add(this);
  }

  /** Ends the tunnel in a way that its protocol understands; nothing where there is none any more. */
  endTunnel(end: TunnelEnd): void {
    if (this.#ended || this.#live === null || this.#live.ending) return;
    this.refusal ??= end.answer;
    this.#live.end(end);
  }

  pass(direction: TunnelDirection, bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (direction === 'in') return this.#bodySink?.data(bytes, at, to, end) ?? true;
    return this.#stream?.sendData(bytes, at, to, end) ?? true;
  }

  readOn(): void {
    this.#stream?.demandBody();
    this.#responseSource?.resume();
  }

  tunnelOver(): void {
    this.#complete();
  }

  cutTunnel(answer: Answer): void {
    this.refuse(answer);
  }

  /** For the admin interface. */
  describeTunnel(now: number): object {
    return describeTunnel(this, this.#live, now);
  }

  // --- the end ----------------------------------------------------------------------------------------------------

  #dropCall(reason: Reason): void {
    const sink = this.#bodySink;
    const source = this.#responseSource;
    this.#bodySink = null;
    this.#responseSource = null;
    const unfinished = this.held !== null || this.#stream?.requestEnded !== true;
    this.dropHeld();
    if (sink !== null && unfinished) sink.reset(reason);
    source?.stop(reason);
  }

  #complete(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.token++;
    this.#bodySink = null;
    this.#responseSource = null;
    this.dropHeld();
    const stream = this.#stream;
    this.#stream = null;
    this.endedAt = this.engine.thread.turn.now();
    for (let timer = this.timers; timer !== null; timer = timer.nextOfExchange) timer.cancel();
    this.timers = null;
    this.countIn(this.engine.rowOf(this));
    this.#count();
    this.engine.hooks.complete(this.pin.filters, this.passed, this);
    if (this.refusal !== null) this.engine.recordRefusal(this, this.refusal, false);
    else if (passedOnFailure(this)) this.engine.recordRelayed(this);
    if (this.trace !== null) this.engine.tracer?.ended(this);
    if (this.engine.taps !== null) this.engine.taps.see(this);
    stream?.exchangeEnded();
  }

  #count(): void {
    const live = this.#live;
    this.#live = null;
    if (live !== null) {
      closeTunnel(this, live);
      this.engine.tunnels.remove(this, this.#generation);
    }
    if (this.#row !== null) countEnd(this.#row, this, live !== null);
  }
}
