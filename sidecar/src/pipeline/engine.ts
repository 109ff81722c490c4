import { NetworkSet } from '@remora/core/network-set';
import { reasons } from '@remora/errors/reason';
import { canonicalPath, type PathSpellingRules } from '@remora/http/canonical-path';
import { headerId, makeField } from '@remora/http/header-ids';
import { MessageHead } from '@remora/http/message-head';
import type { Answer } from '@remora/policy-kit/exchange';
import type { GatewayListener } from '@remora/snapshot/snapshot';
import { undecided } from '@remora/router/route-table';
import type { Admission } from './admission.ts';
import { dateField, type EncodedAnswer } from './answer-encoding.ts';
import { answerFor, encodeFor, filterFailure, refusalRecord } from './answers.ts';
import { CallCounts } from './call-counts.ts';
import { chooseTarget } from './weighted-choice.ts';
import { connectDestination } from './connect-request.ts';
import { inboundGraceMs, readDeadline, readGrpcTimeout } from './caller-deadlines.ts';
import { clientAddress } from './client-address.ts';
import { defaultConnectionLimits, type ConnectionLimits } from '../listener/connection-limits.ts';
import type { RefusalRecord } from '../threads/data-plane.ts';
import { ExchangeRun } from './exchange-run.ts';
import { FilterHooks } from './filter-hooks.ts';
import { WheelFilterTimers } from './filter-timers.ts';
import type { Generation } from '../generation/generation.ts';
import { HopList } from './hop-list.ts';
import { LiveTunnels } from './live-tunnels.ts';
import { forgetClientCert } from '../listener/caller-facts.ts';
import { edgeTerms, termsHold } from '../listener/edge-terms.ts';
import type { ListenerBinding } from '../listener/listener-binding.ts';
import type { MeshTerms } from '../listener/mesh-terms.ts';
import { addForwardedFields, forwardedFields, removeOutsideHeaders } from './outside-headers.ts';
import { pinFor, type Transport, type CallerRoute, type Destination, type GatewayTarget, type Place, type ProviderPort, type ProviderRoute, type RespondAction, type RewritePlan, type WeightedTarget } from '../generation/places.ts';
import { isRequestId, type RequestIds } from './request-ids.ts';
import { revocationOf } from './tunnel-revocation.ts';
import { makeRedirect, makeHttpsRedirect } from './redirects.ts';
import type { RequestTracer } from './request-tracer.ts';
import { rewriteRequest } from './rewrites.ts';
import { overflowName, type SeriesRow, type SeriesRows } from '../records/series-rows.ts';
import type { ServedProtocol, ServerPeer } from '../listener/server-peer.ts';
import type { ServerStream } from '../listener/server-stream.ts';
import type { MeshServer } from '../tls/mesh-server.ts';
import type { ServerContexts } from '../tls/server-contexts.ts';
import type { OutsideDestinations } from '../upstream/outside-destinations.ts';
import type { ThreadContext } from '../io/thread-context.ts';

/** Where refusals go: batched to the control thread. */
export interface RefusalSink {
  add(record: RefusalRecord): void;
}

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

/** Takes exchanges from listener to destination on the current generation. One per data thread; never waits, never throws. */
export class Engine {
  readonly thread: ThreadContext;
  readonly tracer: RequestTracer | null;
  readonly admission: Admission;
  readonly tls: ServerContexts;
  readonly mesh: MeshServer;
  readonly tunnels: LiveTunnels;
  readonly hooks: FilterHooks = new FilterHooks(this);
  readonly #options: EngineOptions;
  #generation: Generation | null = null;
  /** Another one after each change of what connections were judged by: the generation, identities. */
  #epoch: object = {};
  readonly #calls: CallCounts;
  readonly #timers: WheelFilterTimers;
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
    this.tunnels = new LiveTunnels(options.thread.wheels, (by) => options.series.events.count('generation_older', by));
    this.#timers = new WheelFilterTimers(options.thread.wheels);
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
    const port = run.binding === null ? null : this.#portOf(run.binding);
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
    return this.#portOf(binding)?.limits ?? defaultConnectionLimits;
  }

  /** What the listener's connections carry, as far as is known: requests. */
  transportOf(binding: ListenerBinding): Transport {
    const { side, destination = '' } = binding.spec;
    if (side !== 'outbound') return this.#portOf(binding)?.transport ?? 'http';
    const generation = this.#generation;
    if (generation === null || destination === '' || generation.byAuthority.has(destination)) return 'http';
    return generation.tcpByAuthority.has(destination) ? 'tcp' : 'http';
  }

  /** What the first bytes of the listener's connections must be; null: requests without TLS. */
  edgeOf(binding: ListenerBinding): GatewayListener | null {
    return this.#portOf(binding)?.edge ?? null;
  }

  /** How the port takes callers of the mesh; null: it does not, or there is no identity to do it with. */
  meshOf(binding: ListenerBinding): MeshTerms | null {
    const terms = this.#portOf(binding)?.mesh ?? null;
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

  #portOf({ spec }: ListenerBinding): ProviderPort | null {
    const generation = this.#generation;
    if (generation === null || spec.side === 'outbound') return null;
    if (spec.side === 'gateway') return generation.listeners.get(spec.portName ?? '') ?? null;
    return generation.inbound.get(spec.portName ?? 'http') ?? (spec.portName === undefined ? onlyOf(generation.inbound) : null);
  }

  // --- the way of a request ---------------------------------------------------------------------------------------

  /** `head` null: the request could not be read. */
  makeRun(stream: ServerStream, peer: ServerPeer, head: MessageHead | null): ExchangeRun {
    const run = new ExchangeRun(this, stream, head ?? new MessageHead());
    run.startedAt = this.thread.turn.now();
    run.startedWallMs = this.thread.clock.wallMs();
    const generation = this.#generation;
    const { spec } = peer.binding;
    if (peer.factsOf !== this.#epoch) this.#refreshFacts(peer, generation);
    if (run.startedWallMs >= peer.certificateEndsMs) peer.certificateOver = true;
    run.binding = peer.binding;
    run.connection = peer.facts;
    run.clientAddress = peer.facts.peerAddress;
    const place = this.#portOf(peer.binding)?.fallback.place ?? this.#noPlaces[spec.side];
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
    const port = this.#portOf(peer.binding);
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
      this.#startConnect(run, generation, peer);
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
    if (spec.side === 'outbound') this.#startOutbound(run, generation, spec.destination ?? '');
    else this.#startProvider(run, generation, this.#portOf(peer.binding));
  }

  /** A TCP connection, as an exchange whose head has no path and no fields. */
  startConnection(run: ExchangeRun, peer: ServerPeer): void {
    const generation = this.#generation;
    const { spec } = peer.binding;
    if (generation === null) run.refuse(answerFor(reasons.starting, ''));
    else if (spec.side !== 'outbound' && !this.admission.admitsRequest()) run.refuse(answerFor(reasons.overload, this.admission.overload.cause));
    else if (spec.side === 'outbound') this.#startOutboundConnection(run, generation, spec.destination ?? '');
    else {
      if (spec.side === 'inbound') this.#countCaller(peer);
      this.#startProvider(run, generation, this.#portOf(peer.binding));
    }
  }

  #countCaller(peer: ServerPeer): void {
    this.#calls.cameFrom(peer, this.mesh.identity.own?.trustDomain ?? '');
  }

  #startOutboundConnection(run: ExchangeRun, generation: Generation, fixed: string): void {
    const destination = generation.tcpByAuthority.get(fixed);
    if (destination === undefined) {
      run.pin = pinFor(generation.unknownPlace, generation.label);
      run.refuse(answerFor(reasons.unknownDestination, unknownDetail(generation, fixed)));
      return;
    }
    if (run.trace !== null) this.tracer?.decide(run);
    this.#callOut(run, generation, destination);
  }

  #startConnect(run: ExchangeRun, generation: Generation, peer: ServerPeer): void {
    const { spec } = peer.binding;
    const where = connectDestination(generation, run.head.authority, spec.side === 'outbound' && spec.destination === undefined);
    if ('reason' in where) {
      if (spec.side === 'outbound') run.pin = pinFor(generation.unknownConnects, generation.label);
      run.refuse(where);
      return;
    }
    if (run.trace !== null) this.tracer?.decide(run);
    this.#callOut(run, generation, where, true);
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

  #startProvider(run: ExchangeRun, generation: Generation, port: ProviderPort | null): void {
    if (port === null) {
      run.refuse(answerFor(reasons.noRoute, 'this port is not part of the configuration'));
      return;
    }
    const refusal = this.#canonicalize(run.head, port.pathRules) ?? hostRefusal(run.head, port);
    if (refusal !== null) {
      run.refuse(refusal);
      return;
    }
    const hit = port.table.match(run.head);
    if (hit === undecided) {
      run.refuse(answerFor(reasons.badRequest, 'a route\'s match could not be evaluated'));
      return;
    }
    if (hit !== null) {
      run.pathNames = hit.pathNames;
      run.pathValues = hit.pathValues;
    }
    const route = hit?.value ?? port.fallback;
    run.route = route;
    run.begin(pinFor(route.place, generation.label));
  }

  #startOutbound(run: ExchangeRun, generation: Generation, fixed: string): void {
    const destination = generation.byAuthority.get(fixed === '' ? run.head.authority : fixed) ?? (fixed === '' ? this.#outside(generation, run.head.authority) : null);
    if (destination === null) {
      run.pin = pinFor(generation.unknownPlace, generation.label);
      run.refuse(answerFor(reasons.unknownDestination, unknownDetail(generation, run.head.authority)));
      return;
    }
    const refusal = this.#canonicalize(run.head, destination.pathRules);
    if (refusal !== null) {
      run.refuse(refusal);
      return;
    }
    // `http_proxy=http://user:password@…`: for the proxy, and that is this side (RFC 9110 section 11.7.2).
    if (fixed === '' && run.head.has(proxyAuthorizationHeader)) run.head.remove(proxyAuthorizationHeader);
    if (run.trace !== null) this.tracer?.decide(run);
    this.#callOut(run, generation, destination);
  }

  /** A host that no document declares: it is suggested, and called where the Mesh says so. */
  #outside(generation: Generation, authority: string): Destination | null {
    this.#calls.wentTo(authority);
    return generation.tcpByAuthority.has(authority) ? null : this.#options.outside.find(generation, authority);
  }

  #callOut(run: ExchangeRun, generation: Generation, destination: Destination, connects = false): void {
    this.ensureRequestId(run);
    const chosen = this.#callerRoute(run, destination);
    if (chosen === null) return;
    run.pin = pinFor(connects ? chosen.connects : chosen.place, generation.label);
    run.destination = destination.service;
    const target = chooseTarget(chosen.targets, this.thread.random);
    if (target === null) this.#nobody(run, destination, chosen.targets);
    else run.dispatch(chosen.caller, target.target);
  }

  /** Null: refused. */
  #callerRoute(run: ExchangeRun, destination: Destination): CallerRoute | null {
    const hit = destination.table.match(run.head);
    if (hit !== undecided) return hit?.value ?? destination.fallback;
    run.refuse(answerFor(reasons.badRequest, 'a route\'s match could not be evaluated'));
    return null;
  }

  /** The filters have passed: what the route says is done. */
  route(run: ExchangeRun): void {
    const { action } = run.route as ProviderRoute;
    if (run.trace !== null) this.tracer?.decide(run);
    this.ensureRequestId(run);
    switch (action.kind) {
      case 'app':
        if (action.rewrite !== null) rewriteRequest(run, action.rewrite);
        run.dispatch(action.caller, action.target);
        return;
      case 'forward':
        this.#forward(run, action.targets, action.rewrite);
        return;
      case 'redirect':
        this.#sendOwn(run, makeRedirect(run, action));
        return;
      case 'respond':
        this.#respond(run, action);
        return;
      case 'httpsRedirect':
        this.#sendOwn(run, makeHttpsRedirect(run, action.port));
        return;
      case 'none':
        run.refuse(answerFor(reasons.noRoute, ''));
    }
  }

  #respond(run: ExchangeRun, action: RespondAction): void {
    if (action.delayMs === 0) this.#sendOwn(run, action.response());
    else this.#timers.after(action.delayMs, () => this.#sendOwn(run, action.response()), run, run.token);
  }

  #sendOwn(run: ExchangeRun, response: EncodedAnswer): void {
    response.head.put(dateField(this.thread.clock.wallMs()));
    run.sendOwn(response.head, response.body);
  }

  #forward(run: ExchangeRun, targets: readonly GatewayTarget[], rewrite: RewritePlan | null): void {
    const chosen = chooseTarget(targets, this.thread.random);
    if (chosen === null) {
      this.#nobody(run, targets[0]?.destination ?? null, targets);
      return;
    }
    if (rewrite !== null) rewriteRequest(run, rewrite);
    const { destination } = chosen;
    run.destination = destination.service;
    const route = this.#callerRoute(run, destination);
    if (route === null) return;
    // HTTP/1.0 without Host: many servers refuse an empty one.
    if (run.head.authority === '') run.head.setAuthority(destination.service);
    const caller = chosen.overrides?.get(route.caller.route) ?? route.caller;
    // The destination's own Route decides over its instances, unless the gateway's route names a subset itself.
    const subset = chosen.target.labels.length > 0 ? chosen : chooseTarget(route.targets, this.thread.random);
    if (subset === null) this.#nobody(run, destination, route.targets);
    else run.dispatch(caller, subset.target);
  }

  #nobody(run: ExchangeRun, destination: Destination | null, targets: readonly WeightedTarget[]): void {
    const known = destination?.cluster.known ?? false;
    const detail = known ? `${run.destination || destination?.service} has no instance for this request` : `no instances of ${destination?.service ?? 'the destination'} are known yet`;
    run.refuse(answerFor(targets.length > 1 ? reasons.noDestination : reasons.noHealthyUpstream, detail));
  }

  #canonicalize(head: MessageHead, rules: PathSpellingRules): Answer | null {
    if (head.pathPlain || head.path === '*') return null;
    const path = canonicalPath(head.path, rules);
    if (path === '' || (head.hasQuery && head.query.includes('#'))) return answerFor(reasons.badPath, '');
    if (path !== head.path) head.setPath(path);
    return null;
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

  filterFailed(kind: string, error: unknown): Answer {
    this.#options.count(`${kind}_failed`, 1);
    return filterFailure(kind, error);
  }

  encode(run: ExchangeRun, answer: Answer): EncodedAnswer {
    return encodeFor(run, answer, this.#options.nodeId, this.thread.clock.wallMs());
  }

  rowOf(run: ExchangeRun): SeriesRow {
    const { place } = run.pin;
    const known = place.series?.get(run.destination);
    if (known !== undefined && !known.released) return known;
    const row = this.#options.series.row(place.side, place.route, run.destination);
    // Not for long: a row may become free.
    if (row.name.route === overflowName) return row;
    (place.series ??= new Map<string, SeriesRow>()).set(run.destination, row);
    return row;
  }

  recordRefusal(run: ExchangeRun, answer: Answer, shadow: boolean): void {
    this.#options.refusals.add(refusalRecord(run, answer, this.thread.clock.wallMs(), shadow));
  }
}

/** The app hears of its caller from this side only, or from a proxy that is trusted. */
function tellCaller({ head, connection }: ExchangeRun, { caller }: ServerPeer): void {
  if (caller !== null) caller.tell(head);
  else if (!connection.trusted) forgetClientCert(head);
}

/** A bare inbound listener stands for the port `http`, or for the only one. */
function onlyOf(ports: ReadonlyMap<string, ProviderPort>): ProviderPort | null {
  const [only] = ports.values();
  return ports.size === 1 && only !== undefined ? only : null;
}

function hostRefusal(head: MessageHead, port: ProviderPort): Answer | null {
  if (port.hosts.length === 0) return null;
  const colon = head.authority.lastIndexOf(':');
  const host = colon > head.authority.lastIndexOf(']') ? head.authority.slice(0, colon) : head.authority;
  for (const pattern of port.hosts) {
    if (pattern.startsWith('*.') ? host.length > pattern.length - 1 && host.endsWith(pattern.slice(1)) : pattern === host) return null;
  }
  return answerFor(reasons.noRoute, 'this listener does not serve that host');
}

/** As spans say it; '' where the head does. */
function tracedProtocol(protocol: ServedProtocol | ''): string {
  if (protocol === 'http2') return '2';
  return protocol === 'tcp' || protocol === 'tls' ? protocol : '';
}

function unknownDetail(generation: Generation, authority: string): string {
  if (generation.tcpByAuthority.has(authority)) return `${authority} carries TCP, and this is a request: the app reaches it through a port of its own (--outbound-for ${authority}=PORT)`;
  const pass = generation.snapshot.fleet.unknownDestinations === 'refuse' ? '' : ', and no host that may be called from here';
  return `${authority || 'no host'} is not among the declared destinations${pass}`;
}

export function emptyPlace(side: Place['side']): Place {
  return { side, route: '', owner: '', filters: [], slotCount: 0, settings: { hash: '', sections: [] }, series: null, pin: null, liveKeys: [] };
}

const retrySoon = Object.freeze([makeField('retry-after', '1')]);
export const noNetworks = new NetworkSet();
const noLabel = Object.freeze({ version: '', hash: '' });
const requestIdHeader = headerId('x-request-id');
const proxyAuthorizationHeader = headerId('proxy-authorization');
const forwardedForHeader = headerId('x-forwarded-for');
