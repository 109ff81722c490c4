import type { HeaderId } from '@remora/http/head';
import type { Dispatch, EdgeFilter, RoutePin, Side, Target } from '@remora/policy-kit/exchange';
import type { RouteTable } from '@remora/router/route-table';
import type { EffectiveSettings } from '@remora/snapshot/effective-settings';
import type { RouteRewrite } from '@remora/snapshot/route-definition';
import type { GatewayListener, PathSpelling } from '@remora/snapshot/snapshot';
import type { EncodedAnswer } from '../pipeline/answer-encoding.ts';
import type { Cluster } from '../upstream/cluster.ts';
import { plainPort, type PortConnection } from '../upstream/port-connection.ts';
import type { TargetHosts } from '../upstream/target-hosts.ts';
import type { ConnectionLimits } from '../listener/connection-limits.ts';
import type { MeshTerms } from '../listener/mesh-terms.ts';
import type { SeriesRow } from '../records/series-rows.ts';

/** Version and content hash as shown: one object per swap or relabelling. */
export interface SnapshotLabel {
  /** `epoch.index`. */
  readonly version: string;
  readonly hash: string;
}

/**
 * The provider side of one route (or of no route): its filters, in order, made once for the content that its hash names and shared by
 * all generations with the same content.
 */
export interface Place {
  readonly side: Side;
  /** Route name, '' for the default. */
  readonly route: string;
  readonly owner: string;
  readonly filters: readonly EdgeFilter[];
  readonly slotCount: number;
  readonly settings: EffectiveSettings;
  /** Rows by destination, '' where none was chosen; null until the first request: of 10^5 routes most have none. */
  series: Map<string, SeriesRow> | null;
  /** Owner keys of the live state that its filters use. */
  readonly liveKeys: readonly string[];
  /** The pin of the generation that used the place last. */
  pin: PlacePin | null;
}

/** What an exchange keeps of the snapshot it started on. */
export class PlacePin implements RoutePin {
  readonly place: Place;
  readonly side: Side;
  readonly route: string;
  readonly owner: string;
  readonly filters: readonly EdgeFilter[];
  readonly slotCount: number;
  readonly label: SnapshotLabel;
  readonly configVersion: string;
  readonly configHash: string;

  constructor(place: Place, label: SnapshotLabel) {
    this.place = place;
    this.side = place.side;
    this.route = place.route;
    this.owner = place.owner;
    this.filters = place.filters;
    this.slotCount = place.slotCount;
    this.label = label;
    this.configVersion = label.version;
    this.configHash = label.hash;
  }
}

export function pinFor(place: Place, label: SnapshotLabel): PlacePin {
  const { pin } = place;
  if (pin !== null && pin.label === label) return pin;
  const made = new PlacePin(place, label);
  place.pin = made;
  return made;
}

/** A route of an inbound port or a gateway listener. */
export interface ProviderRoute {
  readonly place: Place;
  readonly action: ProviderAction;
}

export type ProviderAction =
  /** To the own app. */
  | { readonly kind: 'app'; readonly rewrite: RewritePlan | null; readonly caller: CallerPlace; readonly target: ResolvedTarget }
  | ForwardAction
  | RedirectAction
  | RespondAction
  | { readonly kind: 'httpsRedirect'; readonly port: number }
  /** The default of a gateway listener: nothing matched. */
  | { readonly kind: 'none' };

export interface ForwardAction {
  readonly kind: 'forward';
  readonly rewrite: RewritePlan | null;
  readonly targets: readonly GatewayTarget[];
  /** What decides among them; null: chance. */
  readonly sticky: StickyHeader | null;
}

export interface RespondAction {
  readonly kind: 'respond';
  readonly delayMs: number;
  /** A new one for each exchange: filters may change it. */
  response(): EncodedAnswer;
}

export interface RedirectAction {
  readonly kind: 'redirect';
  readonly status: number;
  /** '' and 0 keep what the request has. */
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  readonly rewrite: RewritePlan | null;
  readonly keepQuery: boolean;
}

export interface RewritePlan {
  readonly rewrite: RouteRewrite;
  /** What the route's prefix match takes; '' where it has none. */
  readonly prefix: string;
}

export interface GatewayTarget {
  readonly target: ResolvedTarget;
  readonly weight: number;
  readonly destination: Destination;
  /** By route of the destination, '' for its default: where the gateway's own settings differ. */
  readonly overrides: ReadonlyMap<string, CallerPlace> | null;
}

/** The caller side of one place: layers around the connector. */
export interface CallerPlace {
  /** Route of the destination, '' for its default. */
  readonly route: string;
  readonly dispatch: Dispatch;
  readonly settings: EffectiveSettings;
  /** Owner keys of the live state that its layers use. */
  readonly liveKeys: readonly string[];
}

/** A route of a destination, or its default. */
export interface CallerRoute {
  readonly caller: CallerPlace;
  /** Weighted subsets; one of weight 1 for the default. */
  readonly targets: readonly WeightedTarget[];
  /** What decides among them; null: chance. */
  readonly sticky: StickyHeader | null;
  /** The outbound side has no filters; the place names it in logs and figures. */
  readonly place: Place;
  /** The same for CONNECT, which writes the own service's access log; `place` where it leads nowhere. */
  readonly connects: Place;
}

/** A header whose value decides among targets. */
export interface StickyHeader {
  readonly id: HeaderId;
  /** Of its hash: another one for each Route, so that not the same users are the first everywhere. */
  readonly seed: number;
}

export interface WeightedTarget {
  readonly target: ResolvedTarget;
  readonly weight: number;
}

export interface Destination {
  readonly service: string;
  readonly cluster: Cluster;
  readonly pathRules: PathSpelling;
  readonly table: RouteTable<CallerRoute>;
  readonly fallback: CallerRoute;
}

/** A destination and subset with its endpoints. */
export class ResolvedTarget implements Target {
  readonly service: string;
  readonly port: string;
  readonly labels: readonly string[];
  readonly cluster: Cluster;
  readonly how: PortConnection;
  /** Labels as figures name them; '': all instances. */
  readonly subset: string;
  /** Of its series, among those of a place. */
  readonly seriesKey: string;
  #hosts: TargetHosts | null = null;
  #version = -1;

  constructor(cluster: Cluster, port: string, labels: readonly string[], how: PortConnection = plainPort) {
    this.service = cluster.service;
    this.cluster = cluster;
    this.port = port;
    this.labels = labels;
    this.how = how;
    this.subset = labels.join(',').slice(0, 253);
    this.seriesKey = this.subset === '' ? this.service : `${this.service}\0${this.subset}`;
  }

  /** By the last set of endpoints that came. */
  get hosts(): TargetHosts {
    const known = this.#hosts;
    if (known !== null && this.cluster.version === this.#version) return known;
    const hosts = this.cluster.subset(this.port, this.labels, this.how);
    this.#version = this.cluster.version;
    this.#hosts = hosts;
    return hosts;
  }

  /** Nobody is there who could be asked. */
  get empty(): boolean {
    return this.hosts.hosts.length === 0;
  }
}

/** What a port carries: requests, or connections whose bytes nobody looks into (`tls`: but for the name in their first message, at a gateway). */
export type Transport = 'http' | 'tcp' | 'tls';

export function transportOf(protocol: string): Transport {
  return protocol === 'tcp' || protocol === 'tls' ? protocol : 'http';
}

/** One port of the own service, or one listener of the gateway. */
export interface ProviderPort {
  readonly name: string;
  readonly transport: Transport;
  readonly limits: ConnectionLimits;
  readonly pathRules: PathSpelling;
  readonly table: RouteTable<ProviderRoute>;
  readonly fallback: ProviderRoute;
  /** Gateway: exact or `*.suffix`; empty: any. */
  readonly hosts: readonly string[];
  /** Gateway: what the first bytes of its connections must be; null: requests without TLS. */
  readonly edge: GatewayListener | null;
  /** Inbound: how callers of the mesh are taken; null for gateways. */
  readonly mesh: MeshTerms | null;
}
