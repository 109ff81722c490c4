import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import { contentHash } from '@remora/core/hash';
import type { AskedSource } from '@remora/model/discovery-schema';
import type { ServiceDocument } from '@remora/model/service-schema';
import type { Endpoint } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { spokenBy } from '../compile/static-endpoints.ts';
import type { FoundAddress, FoundEndpoints } from '../instances/found-endpoints.ts';
import type { InstanceRegistry } from '../instances/instance-registry.ts';
import { promptPace, RecordWriter, type RecordStore, type WrittenRecords } from '../push/record-writer.ts';
import type { DiscoverySource } from './discovery-source.ts';
import { SourceFeed, type FeedReport } from './source-feed.ts';
import { defaultHoldLimits, type HeldInstance, type HoldLimits } from './source-hold.ts';
import { namesToResolve, targetOf, wordsOf } from './source-target.ts';

export interface DiscoveryKeeperDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly store: RecordStore;
  readonly registry: Pick<InstanceRegistry, 'setFound'>;
  /** Those that this control plane is set up for. */
  readonly sources: ReadonlyMap<AskedSource, DiscoverySource>;
  readonly limits?: Partial<HoldLimits>;
  readonly onStoreError: (error: unknown) => void;
}

/** Answers and failures by source, since the start. */
export type SourceCounts = ReadonlyMap<AskedSource, { answers: number; failures: number }>;

const namespace = 'discovered';
const sweepEveryMs = 1_000;

/** The feeds of one Service. */
interface Followed {
  readonly document: ServiceDocument;
  /** Of `discovery`; null where it has none that is asked. */
  readonly main: SourceFeed | null;
  /** By host name. */
  readonly names: ReadonlyMap<string, SourceFeed>;
}

/**
 * Follows the sources of all Services, keeps their last answers over failures and restarts, and tells the registry what callers shall see. What a source does
 * touches only the Services it feeds.
 */
export class DiscoveryKeeper {
  readonly #deps: DiscoveryKeeperDeps;
  readonly #limits: HoldLimits;
  readonly #writer: RecordWriter;
  readonly #written: WrittenRecords;
  readonly #followed = new Map<string, Followed>();
  /** By key of their record. */
  readonly #feeds = new Map<string, SourceFeed>();
  readonly #restored: Map<string, JsonObject>;
  readonly #sweeper: Timer;
  readonly #counts = new Map<AskedSource, { answers: number; failures: number }>();
  #planned = false;
  /** Sources are asked: the work in the background is ours. */
  #asking = false;

  constructor(deps: DiscoveryKeeperDeps) {
    this.#deps = deps;
    this.#limits = { ...defaultHoldLimits, ...deps.limits };
    this.#writer = new RecordWriter({ store: deps.store, timers: deps.timers, onError: deps.onStoreError, pace: promptPace });
    this.#written = this.#writer.records(namespace, (key) => this.#feeds.get(key)?.record() ?? null);
    this.#restored = new Map(deps.store.records(namespace));
    this.#sweeper = deps.timers.every(sweepEveryMs, () => this.#sweep());
  }

  /** What was asked of each source. */
  get counts(): SourceCounts {
    return this.#counts;
  }

  /** Begins to ask sources. Until then, and after `stop`, their last answers hold. */
  start(): void {
    this.#asking = true;
    this.#forgetRecords();
    for (const feed of this.#feeds.values()) this.#start(feed);
  }

  /** Asks nobody any more, and writes nothing. */
  stop(): void {
    this.#asking = false;
    for (const feed of this.#feeds.values()) feed.close();
    this.#writer.flush();
  }

  /** The documents are these now. Only Services that differ are looked at. */
  follow(services: ReadonlyMap<string, ServiceDocument>): void {
    for (const [name, { document }] of this.#followed) if (services.get(name) !== document) this.#revise(name, services.get(name));
    for (const [name, document] of services) if (!this.#followed.has(name) && isAsked(document)) this.#begin(name, document, null);
    this.#planned = true;
    this.#forgetRecords();
  }

  /** Every source of a Service, or of all of them, in order of their names. */
  reports(service?: string): readonly FeedReport[] {
    const all = service === undefined ? [...this.#followed.values()] : [this.#followed.get(service)].filter((one) => one !== undefined);
    return all.flatMap(({ main, names }) => [...(main ? [main] : []), ...names.values()].map((feed) => feed.report()))
      .sort((a, b) => (a.service + a.asked < b.service + b.asked ? -1 : 1));
  }

  /** When an endpoint was found first, and named last (Unix ms), by its id in the registry. */
  ages(service: string): ReadonlyMap<string, { readonly sinceMs: number; readonly namedMs: number }> {
    const followed = this.#followed.get(service);
    const ages = new Map<string, { sinceMs: number; namedMs: number }>();
    const offset = this.#deps.clock.wallMs() - this.#deps.clock.monotonicMs();
    const add = (id: string, held: HeldInstance): void => void ages.set(id, { sinceMs: Math.round(held.sinceMs + offset), namedMs: Math.round(held.namedMs + offset) });
    for (const held of followed?.main?.held ?? []) add(`${followed?.document.discovery?.source ?? ''}/${held.instance.id}`, held);
    for (const feed of followed?.names.values() ?? []) for (const held of feed.held) add(held.instance.ports[0]?.host ?? '', held);
    return ages;
  }

  close(): void {
    this.#sweeper.cancel();
    this.stop();
  }

  #revise(name: string, document: ServiceDocument | undefined): void {
    const before = this.#followed.get(name);
    this.#followed.delete(name);
    if (document && isAsked(document)) return this.#begin(name, document, before ?? null);
    for (const feed of feedsOf(before)) this.#end(feed);
    this.#deps.registry.setFound(name, null);
  }

  /** Feeds that ask the same as before go on. */
  #begin(name: string, document: ServiceDocument, before: Followed | null): void {
    const kept = new Set<SourceFeed>();
    const started: SourceFeed[] = [];
    const feed = (kind: AskedSource, shown: FeedReport['source'], discovery: NonNullable<ServiceDocument['discovery']>): SourceFeed => {
      const target = targetOf(document, discovery);
      const key = keyOf(target);
      const known = this.#feeds.get(key);
      if (known && feedsOf(before).includes(known)) {
        kept.add(known);
        return known;
      }
      const made = this.#make(key, target, { kind, shown });
      started.push(made);
      return made;
    };
    const { discovery } = document;
    const main = discovery && discovery.source !== 'sidecars' ? feed(discovery.source as AskedSource, discovery.source as AskedSource, discovery) : null;
    const names = new Map(namesToResolve(document).map((host) => [host, feed('dns', 'static', { source: 'dns', dns: { name: host } })]));
    for (const old of feedsOf(before)) if (!kept.has(old)) this.#end(old);
    this.#followed.set(name, { document, main, names });
    if (this.#asking) for (const one of started) this.#start(one);
    this.#publish(name);
  }

  #make(key: string, target: SourceFeed['target'], { kind, shown }: { readonly kind: AskedSource; readonly shown: FeedReport['source'] }): SourceFeed {
    const counts = this.#counts.get(kind) ?? { answers: 0, failures: 0 };
    this.#counts.set(kind, counts);
    const feed = new SourceFeed(target, { kind: shown, asked: wordsOf(target) }, {
      clock: this.#deps.clock, limits: this.#limits,
      changed: () => this.#publish(target.service), store: () => this.#keep(key),
      count: { answers: () => void counts.answers++, failures: () => void counts.failures++ },
    });
    const record = this.#restored.get(key);
    this.#restored.delete(key);
    if (record) feed.restore(record);
    this.#feeds.set(key, feed);
    return feed;
  }

  #start(feed: SourceFeed): void {
    const kind = feed.target.discovery.source as AskedSource;
    feed.start(this.#deps.sources.get(kind) ?? null, `this control plane is not set up for ${kind}: ${setUpBy[kind]}`);
  }

  #end(feed: SourceFeed): void {
    const key = keyOf(feed.target);
    feed.close();
    if (this.#feeds.get(key) !== feed) return;
    this.#feeds.delete(key);
    this.#keep(key);
  }

  /** Whoever does not ask does not write either: what another process has learnt is newer. */
  #keep(key: string): void {
    if (this.#asking) this.#written.put(key);
  }

  #publish(name: string): void {
    const followed = this.#followed.get(name);
    if (followed) this.#deps.registry.setFound(name, foundBy(followed));
  }

  #sweep(): void {
    for (const feed of this.#feeds.values()) feed.sweep();
  }

  /** Of Services that are gone, or ask for something else now: once, when documents are known and the work is ours. */
  #forgetRecords(): void {
    if (!this.#asking || !this.#planned) return;
    for (const key of this.#restored.keys()) this.#written.put(key);
    this.#restored.clear();
  }
}

/** What gives a control plane a source. */
export const setUpBy: Readonly<Record<AskedSource, string>> = {
  dns: '--dns-servers', consul: '--consul-address', kubernetes: '--kubernetes-api, or a pod\'s own account', file: '--discovery-dir',
};

/** Most are not; each of them is looked at after every edit. */
function isAsked(document: ServiceDocument): boolean {
  if (document.discovery === undefined && document.endpoints === undefined) return false;
  return (document.discovery !== undefined && document.discovery.source !== 'sidecars') || namesToResolve(document).length > 0;
}

function feedsOf(followed: Followed | null | undefined): SourceFeed[] {
  return followed ? [...(followed.main ? [followed.main] : []), ...followed.names.values()] : [];
}

/** Another question is another record. */
function keyOf({ service, ports, discovery }: SourceFeed['target']): string {
  return `${service}/${contentHash(JSON.stringify([ports, discovery])).slice(0, 16)}`;
}

function foundBy({ document, main, names }: Followed): FoundEndpoints {
  const addresses = new Map<string, readonly FoundAddress[]>();
  for (const [host, feed] of names) addresses.set(host, feed.held.map(({ instance, suspectUntilMs }) => ({ address: instance.ports[0]?.host ?? '', suspect: suspectUntilMs !== null })));
  const source = document.discovery?.source ?? '';
  return { known: main === null || main.known, endpoints: (main?.held ?? []).map((held) => endpointOf(held, source, document)), names: addresses };
}

function endpointOf({ instance, suspectUntilMs }: HeldInstance, source: string, { ports }: ServiceDocument): Endpoint {
  return {
    id: `${source}/${instance.id}`,
    ports: instance.ports.map(({ name, host, port }) => ({ name, host, port, protocols: spokenBy(ports[name]?.protocol) })),
    labels: Object.keys(instance.labels).sort().map((key) => ({ key, value: instance.labels[key] ?? '' })),
    locality: instance.locality,
    weight: instance.weight,
    backup: instance.backup,
    suspect: suspectUntilMs !== null,
    draining: instance.draining,
    protocols: ['http/1.1'],
    mtls: false,
    source,
  };
}
