import { NetworkSet } from '@remora/core/network-set';
import { parseIpNetwork } from '@remora/core/ip-address';
import { hashText } from '@remora/core/text-hash';
import { headerNamesMax, internHeaderName } from '@remora/http/header-ids';
import { compileRouteTableSliced, type RouteEntry, type RouteTable } from '@remora/router/route-table';
import { RouteError } from '@remora/router/route-error';
import { noSettings, type EffectiveSettings } from '@remora/snapshot/effective-settings';
import type { RouteDefinition } from '@remora/snapshot/route-definition';
import type { CallDestination, GatewayListener, InboundPort, Snapshot, UpstreamTls } from '@remora/snapshot/snapshot';
import type { UpstreamWay } from '../tls/upstream-way.ts';
import type { Cluster } from '../upstream/cluster.ts';
import { poolSettingsOf } from '../upstream/pool-settings.ts';
import type { PortConnection } from '../upstream/port-connection.ts';
import { connectionLimitsOf } from '../listener/connection-limits.ts';
import { meshTermsOf } from '../listener/mesh-terms.ts';
import type { Generation } from './generation.ts';
import { BuildError, type PlaceBuilder } from './place-builder.ts';
import { ownAction, rewriteOf, RouteOnDemand, type PlaceMaker } from './provider-route.ts';
import {
  ResolvedTarget, transportOf, type CallerPlace, type CallerRoute, type Destination, type GatewayTarget, type ProviderAction, type ProviderPort, type StickyHeader,
  type ProviderRoute, type RewritePlan, type SnapshotLabel, type Transport, type WeightedTarget,
} from './places.ts';

export interface GenerationInputs {
  readonly snapshot: Snapshot;
  readonly label: SnapshotLabel;
  readonly places: PlaceBuilder;
  readonly clusterFor: (service: string) => Cluster;
  /** How endpoints that speak TLS themselves are connected. */
  readonly securityFor: (tls: UpstreamTls) => UpstreamWay;
  /** The app behind an inbound port, as a cluster of one; empty where this sidecar was given none. */
  readonly appFor: (port: InboundPort) => ResolvedTarget;
}

/** Builds what a snapshot means, in steps: the caller goes on or pauses between them. Throws BuildError. */
export function* buildGeneration(inputs: GenerationInputs): Generator<void, Generation> {
  const { snapshot, places } = inputs;
  const keys = new Set<string>();
  places.begin(keys);
  const routes = new RoutesByOwner();
  for (const [i, route] of snapshot.routes.entries()) {
    routes.add(route);
    if (i % 1024 === 1023) yield;
  }
  const destinations = new Map<string, Destination>();
  const byAuthority = new Map<string, Destination>();
  const tcpByAuthority = new Map<string, Destination>();
  for (const destination of snapshot.destinations.values()) {
    yield* buildDestination(inputs, destination, routes, { destinations, byAuthority, tcpByAuthority });
    yield;
  }
  const inbound = new Map<string, ProviderPort>();
  for (const port of snapshot.inbounds.values()) inbound.set(port.name, yield* buildInbound(inputs, port, routes));
  const listeners = new Map<string, ProviderPort>();
  for (const listener of snapshot.listeners.values()) listeners.set(listener.name, yield* buildListener(inputs, listener, routes, destinations));
  return {
    hash: snapshot.hash,
    snapshot,
    label: inputs.label,
    trusted: trustedNetworks(snapshot),
    inbound,
    listeners,
    byAuthority,
    tcpByAuthority,
    destinations,
    unknownPlace: places.provider('outbound', snapshot.subject.name, '', { hash: '', sections: [] }),
    unknownConnects: places.connects(snapshot.subject.name, snapshot.subject.name, '', ownLogWith(snapshot, noSettings), ''),
    tellsClients: tellsClients(snapshot),
    liveKeys: keys,
  };
}

function tellsClients({ inbounds, destinations }: Snapshot): boolean {
  const ports = [...inbounds.values(), ...[...destinations.values()].flatMap((destination) => destination.ports)];
  return ports.some(({ proxyProtocol }) => proxyProtocol !== 0);
}

/** `settings`, with the access log of the own service and nothing else that runs on its requests. */
function ownLogWith({ inbounds }: Snapshot, settings: EffectiveSettings): EffectiveSettings {
  const [own] = inbounds.values();
  const log = own?.settings.sections.find(({ kind }) => kind === 'accessLog');
  const callers = settings.sections.filter(({ runtime }) => runtime.side === 'caller');
  return { hash: `connect:${settings.hash}:${log === undefined ? '' : own?.settings.hash}`, sections: log === undefined ? callers : [...callers, log] };
}

class RoutesByOwner {
  readonly #routes = new Map<string, RouteDefinition[]>();

  add(route: RouteDefinition): void {
    const key = `${route.scope}/${route.owner}`;
    const known = this.#routes.get(key);
    if (known === undefined) this.#routes.set(key, [route]);
    else known.push(route);
  }

  of(scope: RouteDefinition['scope'], owner: string): readonly RouteDefinition[] {
    return this.#routes.get(`${scope}/${owner}`) ?? [];
  }
}

// --- destinations ---------------------------------------------------------------------------------------------------

function* buildDestination(
  inputs: GenerationInputs, definition: CallDestination, all: RoutesByOwner,
  into: { destinations: Map<string, Destination>; byAuthority: Map<string, Destination>; tcpByAuthority: Map<string, Destination> },
): Generator<void, void> {
  const { destinations, byAuthority, tcpByAuthority } = into;
  const { service } = definition;
  const http = definition.ports.filter(({ protocol }) => transportOf(protocol) === 'http');
  const tcp = definition.ports.filter(({ protocol }) => transportOf(protocol) !== 'http');
  const usual = defaultPort(http);
  const routes = all.of('outbound', service);
  for (const port of tcp) {
    const destination = yield* buildDestinationPort(inputs, definition, port, routes);
    destinations.set(`${service}\0${port.name}`, destination);
    tcpByAuthority.set(`${service}:${port.port}`, destination);
    if (definition.ports.length > 1) continue;
    destinations.set(`${service}\0`, destination);
    tcpByAuthority.set(service, destination);
  }
  for (const port of http) {
    const destination = yield* buildDestinationPort(inputs, definition, port, routes);
    destinations.set(`${service}\0${port.name}`, destination);
    byAuthority.set(`${service}:${port.port}`, destination);
    if (port.name !== usual) continue;
    destinations.set(`${service}\0`, destination);
    byAuthority.set(service, destination);
    // What HTTP clients write for a name without port when they act as if it were one.
    if (!http.some((other) => other.port === 80)) byAuthority.set(`${service}:80`, destination);
  }
}

/** `http`, or the only one. */
function defaultPort(ports: readonly { readonly name: string }[]): string {
  return ports.find(({ name }) => name === 'http')?.name ?? (ports.length === 1 ? (ports[0]?.name ?? '') : '');
}

function* buildDestinationPort(
  inputs: GenerationInputs, definition: CallDestination, port: CallDestination['ports'][number], routes: readonly RouteDefinition[],
): Generator<void, Destination> {
  const { places, snapshot } = inputs;
  const transport = transportOf(port.protocol);
  const raw = transport !== 'http';
  const tcpPort = raw ? port.name : '';
  const cluster = inputs.clusterFor(definition.service);
  const pool = poolSettingsOf(definition.settings);
  const connectionOf: ConnectionOf = (name) => {
    const { tls = null, proxyProtocol = 0 } = definition.ports.find((one) => one.name === name) ?? {};
    return { raw, tls: tls === null ? null : inputs.securityFor(tls), proxyProtocol, pool };
  };
  const side = snapshot.subject.kind === 'gateway' ? 'gateway' : 'outbound';
  const callerRoute = (route: RouteDefinition | null): CallerRoute => {
    const name = route?.name ?? '';
    const settings = route?.settings ?? definition.settings;
    const place = places.provider('outbound', definition.service, name, { hash: `caller:${settings.hash}`, sections: settings.sections }, tcpPort);
    return {
      caller: places.caller(side, definition.service, name, settings, snapshot.subject.name, tcpPort),
      targets: subsetTargets(route, cluster, port.name, connectionOf),
      sticky: stickyOf(route),
      place,
      connects: raw ? places.connects(snapshot.subject.name, definition.service, name, ownLogWith(snapshot, settings), tcpPort) : place,
    };
  };
  const table = yield* buildTable(routes.filter((route) => appliesTo(route, port.name, transport)), callerRoute);
  return {
    service: definition.service,
    cluster,
    pathRules: definition.pathRules ?? snapshot.fleet.pathRules,
    table,
    fallback: callerRoute(null),
  };
}

type ConnectionOf = (portName: string) => PortConnection;

function subsetTargets(route: RouteDefinition | null, cluster: Cluster, portName: string, connectionOf: ConnectionOf): readonly WeightedTarget[] {
  if (route === null || route.action.kind !== 'forward' || route.action.targets.length === 0) {
    return [{ target: new ResolvedTarget(cluster, portName, [], connectionOf(portName)), weight: 1 }];
  }
  return route.action.targets.map(({ labels, weight, port }) => ({ target: new ResolvedTarget(cluster, port || portName, labels, connectionOf(port || portName)), weight }));
}

/** Of one owner all alike: who is among the first at one of its Routes is it at the others. */
function stickyOf(route: RouteDefinition | null): StickyHeader | null {
  if (route === null || route.action.kind !== 'forward' || route.action.stickyHeader === '') return null;
  const id = internHeaderName(route.action.stickyHeader);
  if (id === 0) throw routeFailure(route, '/sticky/header', 'too-many', `more than ${headerNamesMax} header names are in use`);
  return { id, seed: hashText(route.owner) };
}

/** A Route that names no port is for requests. */
function appliesTo(route: RouteDefinition, port: string, transport: Transport): boolean {
  return route.ports.length === 0 ? transport === 'http' : route.ports.includes(port);
}

// --- the own ports --------------------------------------------------------------------------------------------------

function* buildInbound(inputs: GenerationInputs, port: InboundPort, all: RoutesByOwner): Generator<void, ProviderPort> {
  const { snapshot, places } = inputs;
  const service = snapshot.subject.name;
  const app = inputs.appFor(port);
  const transport = transportOf(port.protocol);
  const tcpPort = transport === 'http' ? '' : port.name;
  const caller = places.appCaller(service, port.protocol === 'http2' || port.protocol === 'grpc');
  const asItCame: ProviderAction = { kind: 'app', rewrite: null, caller, target: app };
  const toApp = (rewrite: RewritePlan | null): ProviderAction => (rewrite === null ? asItCame : { kind: 'app', rewrite, caller, target: app });
  const routes = new ProviderRoutes(places, { side: 'inbound', owner: service, tcpPort }, (route) => toApp(rewriteOf(route)));
  const table = yield* buildTable(all.of('inbound', service).filter((route) => appliesTo(route, port.name, transport)), (route) => routes.make(route));
  return {
    name: port.name,
    transport,
    limits: connectionLimitsOf(port.settings),
    pathRules: port.pathRules ?? snapshot.fleet.pathRules,
    table,
    fallback: { place: places.provider('inbound', service, '', port.settings, tcpPort), action: toApp(null) },
    hosts: [],
    edge: null,
    mesh: meshTermsOf(port.settings, port.name),
  };
}

function* buildListener(
  inputs: GenerationInputs, listener: GatewayListener, all: RoutesByOwner, destinations: ReadonlyMap<string, Destination>,
): Generator<void, ProviderPort> {
  const { snapshot, places } = inputs;
  const gateway = snapshot.subject.name;
  const transport = transportOf(listener.protocol);
  const tcpPort = transport === 'http' ? '' : listener.name;
  const fallbackPlace = places.provider('gateway', gateway, '', listener.settings, tcpPort);
  const httpsPort = [...snapshot.listeners.values()].find(({ protocol }) => protocol === 'https')?.port ?? 0;
  const routes = listener.redirectToHttps ? [] : all.of('gateway', gateway).filter((route) => appliesTo(route, listener.name, transport));
  const targets = new SharedTargets((route) => gatewayTargets(inputs, route, destinations, tcpPort));
  const made = new ProviderRoutes(places, { side: 'gateway', owner: gateway, tcpPort }, (route) => ({ kind: 'forward', rewrite: rewriteOf(route), targets: targets.of(route), sticky: stickyOf(route) }));
  const table = yield* buildTable(routes, (route) => made.make(route));
  return {
    name: listener.name,
    transport,
    limits: connectionLimitsOf(listener.settings),
    pathRules: listener.pathRules ?? snapshot.fleet.pathRules,
    table,
    fallback: { place: fallbackPlace, action: listener.redirectToHttps ? { kind: 'httpsRedirect', port: httpsPort } : { kind: 'none' } },
    hosts: listener.hosts,
    edge: listener.tls !== null || listener.proxyProtocol ? listener : null,
    mesh: null,
  };
}

/** Routes that go to the same place share what stands for it. */
class SharedTargets {
  readonly #make: (route: RouteDefinition) => readonly GatewayTarget[];
  readonly #known = new Map<string, readonly GatewayTarget[]>();

  constructor(make: (route: RouteDefinition) => readonly GatewayTarget[]) {
    this.#make = make;
  }

  of(route: RouteDefinition): readonly GatewayTarget[] {
    if (route.action.kind !== 'forward' || route.callerOverrides.length > 0) return this.#make(route);
    const key = route.action.targets.map(({ service, port, labels, weight }) => `${service}\0${port}\0${labels.join('\0')}\0${weight}`).join('\n');
    let targets = this.#known.get(key);
    if (targets === undefined) {
      targets = this.#make(route);
      this.#known.set(key, targets);
    }
    return targets;
  }
}

function gatewayTargets(inputs: GenerationInputs, route: RouteDefinition, destinations: ReadonlyMap<string, Destination>, tcpListener: string): readonly GatewayTarget[] {
  if (route.action.kind !== 'forward') return [];
  return route.action.targets.map((target) => {
    const destination = destinations.get(`${target.service}\0${target.port}`);
    if (destination === undefined) {
      throw routeFailure(route, '/to', 'unknown-destination', `${target.service}${target.port && ` port ${target.port}`} is not among the destinations`);
    }
    const { port, how } = (destination.fallback.targets[0] as WeightedTarget).target;
    const { raw } = how;
    if (raw !== (tcpListener !== '')) {
      throw routeFailure(route, '/to', 'wrong-protocol', `${target.service} port ${port} carries ${raw ? 'TCP' : 'requests'}, the listener does not`);
    }
    return {
      target: new ResolvedTarget(destination.cluster, port, target.labels, how),
      weight: target.weight,
      destination,
      overrides: callerOverrides(inputs, route, target.service, raw ? port : ''),
    };
  });
}

function callerOverrides({ places, snapshot }: GenerationInputs, route: RouteDefinition, service: string, tcpPort: string): ReadonlyMap<string, CallerPlace> | null {
  const own = route.callerOverrides.filter((override) => override.service === service);
  if (own.length === 0) return null;
  return new Map(own.map((override) => [
    override.route, places.caller('gateway', service, override.route, override.settings, `${snapshot.subject.name}/${route.name}`, tcpPort),
  ]));
}

// --- parts ----------------------------------------------------------------------------------------------------------

/** Makes the Routes of one own port; `onward` says where those that forward go. */
class ProviderRoutes {
  readonly #places: PlaceBuilder;
  readonly #port: OwnPort;
  readonly #onward: (route: RouteDefinition) => ProviderAction;
  /** By hash of the settings; null where their filters belong to the place. */
  readonly #makers = new Map<string, PlaceMaker | null>();

  constructor(places: PlaceBuilder, port: OwnPort, onward: (route: RouteDefinition) => ProviderAction) {
    this.#places = places;
    this.#port = port;
    this.#onward = onward;
  }

  make(route: RouteDefinition): ProviderRoute {
    const { side, owner, tcpPort } = this.#port;
    const onward = route.action.kind === 'forward' ? this.#onward(route) : null;
    const maker = this.#makerFor(route);
    if (maker !== null) return new RouteOnDemand(route, maker, onward);
    return { place: this.#places.provider(side, owner, route.name, route.settings, tcpPort), action: onward ?? ownAction(route) };
  }

  #makerFor({ name, settings }: RouteDefinition): PlaceMaker | null {
    const known = this.#makers.get(settings.hash);
    if (known !== undefined) return known;
    const { side, owner, tcpPort } = this.#port;
    const maker = this.#places.maker(side, owner, name, settings, tcpPort);
    this.#makers.set(settings.hash, maker);
    return maker;
  }
}

interface OwnPort {
  readonly side: 'inbound' | 'gateway';
  readonly owner: string;
  /** Name of the port or listener where it carries TCP; '' for requests. */
  readonly tcpPort: string;
}

function* buildTable<T>(routes: readonly RouteDefinition[], make: (route: RouteDefinition) => T): Generator<void, RouteTable<T>> {
  const entries: RouteEntry<T>[] = [];
  for (const route of routes) {
    entries.push({ name: route.name, priority: route.priority, match: route.match, value: make(route) });
    if (entries.length % 64 === 0) yield;
  }
  try {
    return yield* compileRouteTableSliced(entries);
  } catch (error) {
    if (!(error instanceof RouteError)) throw error;
    const route = routes.find(({ name }) => name === error.route);
    throw new BuildError({
      resource: route?.id ?? error.route, kind: '', pointer: error.pointer, code: error.code, message: error.message, policies: [],
    });
  }
}

function routeFailure(route: RouteDefinition, pointer: string, code: string, message: string): BuildError {
  return new BuildError({ resource: route.id, kind: '', pointer, code, message, policies: [] });
}

function trustedNetworks({ fleet }: Snapshot): NetworkSet {
  const set = new NetworkSet();
  fleet.trustedProxies.forEach((text, index) => {
    const network = parseIpNetwork(text);
    if (network === null) {
      throw new BuildError({
        resource: 'mesh', kind: '', pointer: `/trustedProxies/${index}`, code: 'invalid-value', message: `${text} is not a network`, policies: [],
      });
    }
    set.add(network, index);
  });
  return set;
}
