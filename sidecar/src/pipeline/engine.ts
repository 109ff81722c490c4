import { reasons } from '@remora/errors/reason';
import { headerId, makeField } from '@remora/http/header-ids';
import { MessageHead } from '@remora/http/message-head';
import type { Answer } from '@remora/policy-kit/exchange';
import type { GatewayListener } from '@remora/snapshot/snapshot';
import type { Admission } from './admission.ts';
import type { EncodedAnswer } from './answer-encoding.ts';
import { answerFor, encodeFor, filterFailure, refusalRecord, relayedRecord } from './answers.ts';
import { BodyHold, type HoldOwner } from './body-hold.ts';
import { CallCounts } from './call-counts.ts';
import { inboundGraceMs, readDeadline, readGrpcTimeout } from './caller-deadlines.ts';
import { clientAddress } from './client-address.ts';
import { defaultConnectionLimits, type ConnectionLimits } from '../listener/connection-limits.ts';
import { ExchangeRun } from './exchange-run.ts';
import { FilterHooks } from './filter-hooks.ts';
import { HeldBytes, heldBytesMax } from './held-bytes.ts';
import type { Generation } from '../generation/generation.ts';
import { HopList } from './hop-list.ts';
import { LiveTunnels } from './live-tunnels.ts';
import { forgetClientCert } from '../listener/caller-facts.ts';
import { edgeTerms, termsHold } from '../listener/edge-terms.ts';
import type { ListenerBinding } from '../listener/listener-binding.ts';
import type { MeshTerms } from '../listener/mesh-terms.ts';
import { addForwardedFields, forwardedFields, removeOutsideHeaders } from './outside-headers.ts';
import { emptyPlace } from '../generation/empty-place.ts';
import { findPort } from '../generation/find-port.ts';
import { pinFor, type Place, type Transport } from '../generation/places.ts';
import { OutboundCalls } from './outbound-calls.ts';
import { ProviderRequests } from './provider-requests.ts';
import type { RefusalSink } from './refusal-sink.ts';
import { isRequestId, type RequestIds } from './request-ids.ts';
import { revocationOf } from './tunnel-revocation.ts';
import { RequestTaps, type TapAnswer, type TapAsk } from './request-taps.ts';
import type { RequestTracer } from './request-tracer.ts';
import { overflowName, type SeriesRow, type SeriesRows } from '../records/series-rows.ts';
import type { ServedProtocol, ServerPeer } from '../listener/server-peer.ts';
import type { ServerStream } from '../listener/server-stream.ts';
import type { MeshServer } from '../tls/mesh-server.ts';
import type { ServerContexts } from '../tls/server-contexts.ts';
import type { OutsideDestinations } from '../upstream/outside-destinations.ts';
import type { ThreadContext } from '../io/thread-context.ts';

export interface EngineOptions {
  readonly thread: ThreadContext;
  readonly nodeId: string;
  readonly requestIds: RequestIds;
  readonly series: SeriesRows;
  readonly refusals: RefusalSink;
  /** null: no spans of requests. */
  readonly tracer: RequestTracer | null;
  readonly count: (name: string, by: number) => void;
  readonly admission: Admission;
  readonly tls: ServerContexts;
  readonly mesh: MeshServer;
  readonly outside: OutsideDestinations;
}

/**
 * Takes exchanges from listener to destination on the current generation: what connections are judged by, and how each exchange starts. Its ways part
 * there: calls of the own app (OutboundCalls), requests of others (ProviderRequests). One per data thread; never waits, never throws.
 */
export class Engine {
  readonly thread: ThreadContext;
  readonly tracer: RequestTracer | null;
  readonly admission: Admission;
  readonly tls: ServerContexts;
  readonly mesh: MeshServer;
  readonly tunnels: LiveTunnels;
  readonly hooks: FilterHooks = new FilterHooks(this);
  /** For bodies that filters hold back. */
  readonly heldBytes: HeldBytes = new HeldBytes(heldBytesMax, () => this.count('bodies_hold-refused'));
  /** Requests that people look at as they end; null: nobody does. */
  taps: RequestTaps | null = null;
  readonly #options: EngineOptions;
  #generation: Generation | null = null;
  /** Another one after each change of what connections were judged by: the generation, identities. */
  #epoch: object = {};
  readonly #calls: CallCounts;
  readonly #outbound: OutboundCalls;
  readonly #provider: ProviderRequests;
  readonly #hops: Readonly<Record<Place['side'], HopList>>;
  readonly #noPlaces: Readonly<Record<'inbound' | 'outbound' | 'gateway', Place>>;

  constructor(options: EngineOptions) {
    this.thread = options.thread;
    this.tracer = options.tracer;
    this.#options = options;
    this.admission = options.admission;
    this.tls = options.tls;
    this.mesh = options.mesh;
    this.#calls = new CallCounts(options.series.callers);
    this.#outbound = new OutboundCalls(this, this.#calls, options.outside);
    this.#provider = new ProviderRequests(this);
    this.tunnels = new LiveTunnels(options.thread.wheels, (by) => options.series.events.count('generation_older', by));
    const { nodeId } = options;
    this.#hops = { inbound: new HopList(nodeId, 'inbound'), outbound: new HopList(nodeId, 'outbound'), gateway: new HopList(nodeId, 'gateway') };
    this.#noPlaces = { inbound: emptyPlace('inbound'), outbound: emptyPlace('outbound'), gateway: emptyPlace('gateway') };
  }

  get generation(): Generation | null {
    return this.#generation;
  }

  /** One reference, between two turns. */
  use(generation: Generation): void {
    this.#generation = generation;
    this.#epoch = generation;
    this.tunnels.advance();
    this.tunnels.recheck((run) => this.#revoke(run));
  }

  /** Identity, roots or revocations have changed: connections are looked at again with their next request. */
  identitiesChanged(): void {
    this.#epoch = {};
  }

  #revoke(run: ExchangeRun): void {
    const generation = this.#generation;
    const port = run.binding === null ? null : findPort(this.#generation, run.binding.spec);
    if (generation === null || port === null || run.ended) return;
    const revocation = revocationOf(run, port, (kind, error) => this.filterFailed(kind, error));
    if (revocation === null) return;
    run.revokedBy = pinFor(revocation.place, generation.label);
    run.endTunnel({ answer: revocation.answer, closeCode: 1008 });
  }

  // --- connections ------------------------------------------------------------------------------------------------

  admits(binding: ListenerBinding): boolean {
    return this.admission.admitsConnection(binding.connections, this.limitsOf(binding).connectionsMax);
  }

  limitsOf(binding: ListenerBinding): ConnectionLimits {
    return findPort(this.#generation, binding.spec)?.limits ?? defaultConnectionLimits;
  }

  /** What the listener's connections carry, as far as is known: requests. */
  transportOf(binding: ListenerBinding): Transport {
    const { side, destination = '' } = binding.spec;
    if (side !== 'outbound') return findPort(this.#generation, binding.spec)?.transport ?? 'http';
    const generation = this.#generation;
    if (generation === null || destination === '' || generation.byAuthority.has(destination)) return 'http';
    return generation.tcpByAuthority.has(destination) ? 'tcp' : 'http';
  }

  /** What the first bytes of the listener's connections must be; null: requests without TLS. */
  edgeOf(binding: ListenerBinding): GatewayListener | null {
    return findPort(this.#generation, binding.spec)?.edge ?? null;
  }

  /** How the port takes callers of the mesh; null: it does not, or there is no identity to do it with. */
  meshOf(binding: ListenerBinding): MeshTerms | null {
    const terms = findPort(this.#generation, binding.spec)?.mesh ?? null;
    return terms !== null && terms.mode !== 'disabled' && this.mesh.identity.own !== null ? terms : null;
  }

  /** Whether the peer at the address may speak for others. */
  trusts(address: string): boolean {
    return (this.#generation?.trusted.find(address) ?? -1) >= 0;
  }

  /** So many more of what `name` stands for: a constant of the code, or made of few. */
  count(name: string, by = 1): void {
    this.#options.count(name, by);
  }

  // --- the way of a request ---------------------------------------------------------------------------------------

  /** `head` null: the request could not be read. */
  makeRun(stream: ServerStream, peer: ServerPeer, head: MessageHead | null): ExchangeRun {
    const run = new ExchangeRun(this, stream, head ?? new MessageHead());
    run.startedAt = this.thread.turn.now();
    run.startedWallMs = this.thread.turn.wallNow();
    const generation = this.#generation;
    const { spec } = peer.binding;
    if (peer.factsOf !== this.#epoch) this.#refreshFacts(peer, generation);
    if (run.startedWallMs >= peer.certificateEndsMs) peer.certificateOver = true;
    run.binding = peer.binding;
    run.connection = peer.facts;
    run.clientAddress = peer.facts.peerAddress;
    const place = findPort(generation, spec)?.fallback.place ?? this.#noPlaces[spec.side];
    run.pin = pinFor(place, generation?.label ?? noLabel);
    this.tracer?.arrive(run, tracedProtocol(peer.protocol));
    return run;
  }

  #refreshFacts(peer: ServerPeer, generation: Generation | null): void {
    peer.factsOf = this.#epoch;
    peer.calls = null;
    const trusted = peer.binding.spec.side === 'outbound' || (generation?.trusted.find(peer.facts.peerAddress) ?? -1) >= 0;
    if (trusted !== peer.facts.trusted) peer.facts = { ...peer.facts, trusted };
    if (generation?.tellsClients === true && peer.facts.localAddress === '') peer.facts = { ...peer.facts, localAddress: peer.localAddress };
    const port = findPort(generation, peer.binding.spec);
    if (port !== null && peer.facts.portName !== port.name) peer.facts = { ...peer.facts, portName: port.name };
    if (peer.caller !== null && !this.mesh.identity.stillGood(peer.caller.peer, 'client', this.thread.clock.wallMs(), port?.mesh?.trustDomains ?? [])) peer.certificateOver = true;
    // A listener that wants TLS or client certificates by now takes nothing on connections made without (exchange.md section 6).
    peer.outdated = !termsHold(peer.terms, edgeTerms(port?.edge ?? null));
  }

  start(run: ExchangeRun, peer: ServerPeer): void {
    const generation = this.#generation;
    if (generation === null) {
      run.refuse(answerFor(reasons.starting, ''));
      return;
    }
    const { spec } = peer.binding;
    const { head } = run;
    if (peer.outdated) {
      run.refuse(answerFor(reasons.connectionOutdated, ''));
      return;
    }
    if (peer.certificateOver) {
      run.refuse(answerFor(reasons.certificateOutdated, ''));
      return;
    }
    if (spec.side === 'inbound') {
      this.#countCaller(peer);
      tellCaller(run, peer);
    }
    if (head.method === 'CONNECT') {
      this.#outbound.startConnect(run, generation, peer);
      return;
    }
    // Calls of the own app belong to requests that were taken on: they are not refused.
    if (spec.side !== 'outbound' && !this.admission.admitsRequest()) {
      run.refuse({ ...answerFor(reasons.overload, this.admission.overload.cause), fields: retrySoon });
      return;
    }
    if (spec.side === 'gateway') this.#takeFromOutside(run, peer);
    else readDeadline(run, spec.side === 'inbound' ? inboundGraceMs : 0);
    readGrpcTimeout(run);
    if (run.connection.trusted && head.has(forwardedForHeader)) run.clientAddress = clientAddress(head, run.clientAddress, generation.trusted);
    if (!this.#hops[spec.side].pass(head)) {
      run.refuse(answerFor(reasons.loop, 'it came back here again and again: some address on its way leads here'));
      return;
    }
    if (spec.side === 'outbound') this.#outbound.startRequest(run, generation, spec.destination ?? '');
    else this.#provider.start(run, generation, findPort(generation, spec));
  }

  /** A TCP connection, as an exchange whose head has no path and no fields. */
  startConnection(run: ExchangeRun, peer: ServerPeer): void {
    const generation = this.#generation;
    const { spec } = peer.binding;
    if (generation === null) run.refuse(answerFor(reasons.starting, ''));
    else if (spec.side !== 'outbound' && !this.admission.admitsRequest()) run.refuse(answerFor(reasons.overload, this.admission.overload.cause));
    else if (spec.side === 'outbound') this.#outbound.startConnection(run, generation, spec.destination ?? '');
    else {
      if (spec.side === 'inbound') this.#countCaller(peer);
      this.#provider.start(run, generation, findPort(generation, spec));
    }
  }

  #countCaller(peer: ServerPeer): void {
    this.#calls.cameFrom(peer, this.mesh.identity.own?.trustDomain ?? '');
  }

  #takeFromOutside(run: ExchangeRun, peer: ServerPeer): void {
    const { head } = run;
    const { trusted, peerAddress, tls } = run.connection;
    if (!trusted) {
      removeOutsideHeaders(head);
      head.remove(requestIdHeader);
    } else readDeadline(run, 0);
    peer.forwarded ??= forwardedFields(peerAddress, tls);
    addForwardedFields(head, peer.forwarded, trusted);
  }

  /** The filters have passed: what the route says is done. */
  route(run: ExchangeRun): void {
    this.#provider.route(run);
  }

  // --- ids, figures, refusals -------------------------------------------------------------------------------------

  /** Keeps a valid one where it may come from outside, else makes one. The requestId kind may have done it before. */
  ensureRequestId(run: ExchangeRun): void {
    if (run.requestId !== '') return;
    const { head } = run;
    const brought = head.count(requestIdHeader) === 1 ? head.valueAt(requestIdHeader, 0) : '';
    if (isRequestId(brought)) {
      run.requestId = brought;
      return;
    }
    run.requestId = this.#options.requestIds.make();
    if (head.has(requestIdHeader)) head.remove(requestIdHeader);
    head.putText(requestIdHeader, run.requestId);
  }

  /** What has ended since the last look; null: too many look already. */
  tap(ask: TapAsk): TapAnswer | null {
    return (this.taps ??= new RequestTaps(this.thread.clock, (name, by) => this.#options.series.events.count(name, by))).look(ask);
  }

  /** Nobody has looked for a while: requests cost nothing again. */
  sweepTaps(): void {
    this.taps?.sweep();
    if (this.taps?.empty === true) this.taps = null;
  }

  /** `expected`: what the head says of the body's length, -1 where it says nothing. */
  makeHold(owner: HoldOwner, expected: number): BodyHold {
    this.#options.count('bodies_held', 1);
    return new BodyHold(owner, expected, { turn: this.thread.turn, budget: this.heldBytes });
  }

  filterFailed(kind: string, error: unknown): Answer {
    this.#options.count(`${kind}_failed`, 1);
    return filterFailure(kind, error);
  }

  encode(run: ExchangeRun, answer: Answer): EncodedAnswer {
    return encodeFor(run, answer, this.#options.nodeId, this.thread.clock.wallMs());
  }

  rowOf(run: ExchangeRun): SeriesRow {
    const { place } = run.pin;
    const key = run.target === null ? run.destination : run.target.seriesKey;
    const known = place.series?.get(key);
    if (known !== undefined && !known.released) return known;
    const row = this.#options.series.row(place.side, place.route, run.destination, run.target?.subset);
    // Not for long: a row may become free.
    if (row.name.route === overflowName) return row;
    (place.series ??= new Map<string, SeriesRow>()).set(key, row);
    return row;
  }

  recordRefusal(run: ExchangeRun, answer: Answer, shadow: boolean): void {
    const { refusals } = this.#options;
    refusals.add(refusalRecord(run, answer, { atMs: this.thread.clock.wallMs(), nowMs: this.thread.turn.now(), shadow, short: !refusals.takesMore() }));
  }

  /** A failure that others made, and that was passed on. Not all of them where there are very many. */
  recordRelayed(run: ExchangeRun): void {
    const { refusals } = this.#options;
    if (refusals.takesRelayed()) refusals.addRelayed(relayedRecord(run, this.thread.clock.wallMs(), this.thread.turn.now()));
  }
}

/** The app hears of its caller from this side only, or from a proxy that is trusted. */
function tellCaller({ head, connection }: ExchangeRun, { caller }: ServerPeer): void {
  if (caller !== null) caller.tell(head);
  else if (!connection.trusted) forgetClientCert(head);
}

/** As spans say it; '' where the head does. */
function tracedProtocol(protocol: ServedProtocol | ''): string {
  if (protocol === 'http2') return '2';
  return protocol === 'tcp' || protocol === 'tls' ? protocol : '';
}

const retrySoon = Object.freeze([makeField('retry-after', '1')]);
const noLabel = Object.freeze({ version: '', hash: '' });
const requestIdHeader = headerId('x-request-id');
const forwardedForHeader = headerId('x-forwarded-for');
