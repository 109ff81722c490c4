import net from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Clock, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import { formatVersion, type Version } from '@remora/core/version';
import { reasons } from '@remora/errors/reason';
import { HeadArena } from '@remora/http/head-arena';
import { WindowBudget } from '@remora/http/http2/window-budget';
import { createUsualBalancer } from '@remora/policy-load-balancing/filter';
import type { Call, Exchange, Answer, Sink } from '@remora/policy-kit/exchange';
import { FactBooks, type FactUpdate } from '@remora/policy-kit/facts';
import { HopNotes } from '@remora/policy-kit/hop-notes';
import { HostStates } from '@remora/policy-kit/host-states';
import type { Balancer } from '@remora/policy-kit/hosts';
import type { FilterHost } from '../pipeline/filter-context.ts';
import type { Questions } from '@remora/policy-kit/questions';
import type { LogFile, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { decodeEndpointSet } from '@remora/snapshot/decode-endpoints';
import type { PartCache } from '@remora/snapshot/decode-cache';
import { decodeInSlices } from '@remora/snapshot/decode';
import type { DecodeInput } from '@remora/snapshot/candidate';
import { AppTargets } from '../upstream/app-targets.ts';
import { Attempt } from '../upstream/attempt.ts';
import { Cluster } from '../upstream/cluster.ts';
import type { GrantedEndpoints } from '../upstream/host-slots.ts';
import type { BoundListener, ListenerSpec, PrepareError, PrepareResult } from './data-plane.ts';
import { Admission } from '../pipeline/admission.ts';
import { answerFor } from '../pipeline/answers.ts';
import { DestinationDetours } from '../pipeline/destination-detours.ts';
import { Engine } from '../pipeline/engine.ts';
import type { RefusalSink } from '../pipeline/refusal-sink.ts';
import type { ExchangeRun } from '../pipeline/exchange-run.ts';
import { PlaceFilterContext, sharedPrefix, SlotCounter } from '../pipeline/filter-context.ts';
import { WheelFilterTimers } from '../pipeline/filter-timers.ts';
import type { Generation } from '../generation/generation.ts';
import { buildGeneration } from '../generation/generation-builder.ts';
import { makeReadBuffer } from '../io/link-context.ts';
import { ListenerSet } from './listener-set.ts';
import { LiveStates } from '../generation/live-state.ts';
import type { LogFiles } from '../records/log-files.ts';
import type { HealthBatch } from '../records/health-batch.ts';
import type { LogLines } from '../records/log-lines.ts';
import { OutputSlabs } from '../io/output-slabs.ts';
import { BuildError, PlaceBuilder } from '../generation/place-builder.ts';
import type { ResolvedTarget } from '../generation/places.ts';
import { heldBytesMax } from '../pipeline/held-bytes.ts';
import { RequestIds } from '../pipeline/request-ids.ts';
import { RequestTracer } from '../pipeline/request-tracer.ts';
import { SeriesRows } from '../records/series-rows.ts';
import type { SpanRing } from '../records/span-ring.ts';
import type { MemoryWish, SharedMemories } from '../generation/shared-memories.ts';
import type { ThreadContext } from '../io/thread-context.ts';
import { MeshIdentity } from '../tls/mesh-identity.ts';
import { MeshSecurities } from '../tls/mesh-securities.ts';
import { MeshServer } from '../tls/mesh-server.ts';
import { ServerContexts } from '../tls/server-contexts.ts';
import { UpstreamSecurities } from '../tls/upstream-securities.ts';
import { TlsMaterialStore, type TlsMaterial } from '../tls/tls-material.ts';
import { TimerWheels } from '../io/timer-wheel.ts';
import { Turn } from '../io/turn.ts';
import { defaultPoolLimits, type PoolLimits } from '../upstream/pool-limits.ts';
import { OutsideDestinations } from '../upstream/outside-destinations.ts';
import { UpstreamPools } from '../upstream/upstream-pools.ts';

export interface DataPlaneThreadOptions {
  readonly nodeId: string;
  readonly kinds: ReadonlyMap<string, RuntimeKind<unknown>>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly refusals: RefusalSink;
  readonly health: Pick<HealthBatch, 'add'>;
  readonly log: LogLines;
  /** Absent: policies cannot log to files. */
  readonly logFiles?: LogFiles;
  readonly series: SeriesRows;
  /** Present where spans of requests are recorded. */
  readonly spans?: { readonly ring: SpanRing; readonly ratio: number };
  readonly reusePort: boolean;
  readonly connectionsMax: number;
  /** Of the limit on memory, 0 to 1; absent: memory sheds nothing. */
  readonly memoryShare?: () => number;
  /** Told when the stage of overload changes. */
  readonly onOverload?: (stage: number) => void;
  /** Opens connections to upstreams; `net.connect` by default. */
  readonly dial?: (options: net.NetConnectOpts) => net.Socket;
  /** Makes what listens; `net.createServer` by default. Its connections have no handles of the system. */
  readonly makeServer?: typeof net.createServer;
  /** Of the connections to upstreams; what is left out is as `defaultPoolLimits` has it. */
  readonly poolLimits?: Partial<PoolLimits>;
  /** What all threads know of hosts; absent: this thread alone, and nothing. */
  readonly hostStates?: HostStates;
  /** Of this sidecar, `region/zone/subzone`. */
  readonly locality?: string;
  /** Present where several threads share memory. */
  readonly shared?: SharedMemories;
  /** How many data threads there are, and which of them this is; absent: the only one. */
  readonly threads?: { readonly count: number; readonly own: number };
  /** How filters ask the control thread. */
  readonly questions: Questions & { quiet(): Promise<void> };
}

/** The data path of one thread: engine, listeners, pools, generations. The same in a worker and in the thread of a test. */
export class DataPlaneThread {
  readonly engine: Engine;
  readonly #options: DataPlaneThreadOptions;
  readonly #thread: ThreadContext;
  readonly #places: PlaceBuilder;
  readonly #live = new LiveStates();
  readonly #clusters = new Map<string, Cluster>();
  readonly #balancer: Balancer;
  readonly #hostStates: HostStates;
  readonly #pools: UpstreamPools;
  readonly #apps: AppTargets;
  readonly #listeners: ListenerSet;
  readonly #prepared = new Map<string, Generation>();
  readonly #material = new TlsMaterialStore();
  readonly #securities: UpstreamSecurities;
  readonly #identity: MeshIdentity;
  readonly #mesh: MeshSecurities;
  readonly #outside: OutsideDestinations;
  /** What filters of this thread may use. */
  readonly filterHost: FilterHost;

  constructor(options: DataPlaneThreadOptions) {
    this.#options = options;
    const turn = new Turn(options.clock);
    this.#thread = {
      clock: options.clock,
      random: options.random,
      turn,
      wheels: new TimerWheels(options.clock, options.timers, () => turn.end()),
      links: { dial: options.dial ?? net.connect, turn, slabs: new OutputSlabs(), readBuffer: makeReadBuffer() },
      arena: new HeadArena(),
      facts: new FactBooks(),
      hops: new HopNotes(),
      windows: new WindowBudget(windowGrowthMax, (event) => options.series.events.count(`http2_window-${event}`, 1)),
    };
    this.#hostStates = options.hostStates ?? new HostStates(new ArrayBuffer(HostStates.bytes()));
    this.#pools = new UpstreamPools(this.#thread, (event) => options.series.events.count(`upstream_${event}`, 1), { ...defaultPoolLimits, ...options.poolLimits }, { max: 2 * options.connectionsMax, clients: () => this.engine.admission.connections });
    this.#apps = new AppTargets((address) => this.#pools.at(address));
    this.#identity = new MeshIdentity(this.#thread.facts);
    const count = (name: string): void => options.series.events.count(name, 1);
    this.#securities = new UpstreamSecurities({ store: this.#material, count, clock: options.clock });
    this.#outside = new OutsideDestinations({
      poolFor: (address) => this.#pools.at(address), securityFor: (settings) => this.#securities.for(settings), connector: (call, response) => this.#connect(call, response),
    });
    this.engine = new Engine({
      thread: this.#thread, nodeId: options.nodeId, requestIds: new RequestIds(), series: options.series, refusals: options.refusals,
      tracer: options.spans === undefined ? null : new RequestTracer({ ...options.spans, random: options.random, turn }),
      count: (name, by) => options.series.events.count(name, by),
      admission: new Admission({
        clock: options.clock, timers: options.timers, connectionsMax: options.connectionsMax, upstreamConnections: () => this.#pools.open,
        memoryShare: options.memoryShare ?? (() => 0), count: (name) => options.series.events.count(name, 1),
        onStage: (stage) => options.onOverload?.(stage),
      }),
      tls: new ServerContexts(this.#material, options.clock, count),
      mesh: new MeshServer(this.#identity, this.#material, count),
      outside: this.#outside,
    });
    this.#listeners = new ListenerSet(this.engine, { apps: this.#apps, reusePort: options.reusePort, ...(options.makeServer && { makeServer: options.makeServer }) });
    this.#mesh = new MeshSecurities({ identity: this.#identity, clock: options.clock, wheels: this.#thread.wheels, count, onMoved: () => this.#choosePoolsAnew() });
    this.#places = new PlaceBuilder({
      host: this.filterHost = {
        clock: turn.time,
        timers: new WheelFilterTimers(this.#thread.wheels),
        random: options.random,
        count: (name, by) => options.series.events.count(name, by),
        counter: (name) => options.series.events.counter(name),
        event: (event) => {
          if (event.renews !== true) options.series.events.count(`${event.kind}_${event.event}`, 1);
          options.health.add(event);
        },
        log: (line) => options.log.add(line),
        facts: (kind) => this.#thread.facts.of(kind),
        questions: options.questions,
        detours: new DestinationDetours({ generation: () => this.engine.generation, random: options.random, turn }),
        hops: this.#thread.hops,
        later: (work) => turn.later(work),
        ...(options.logFiles && { openLog: (target: LogFile) => (options.logFiles as LogFiles).open(target) }),
        ...(options.shared && { shared: (id: string, bytes: number, rows?: MemoryWish['rows']) => (options.shared as SharedMemories).want(id, bytes, rows) }),
        ...(options.threads && { threads: options.threads }),
      },
      live: this.#live,
      connector: (call, response) => this.#connect(call, response),
      recordShadow: (x: Exchange, answer: Answer) => this.engine.recordRefusal(x as ExchangeRun, answer, true),
    });
    this.#balancer = this.#usualBalancer();
  }

  /** Chooses where no policy says otherwise, in every generation: what it shares with those of other threads stays for as long as the thread. */
  #usualBalancer(): Balancer {
    const keys = new Set<string>();
    const place = { kind: 'loadBalancing', side: 'outbound', scope: '', shadow: false, index: 0, live: this.#live.collector(keys), onOwned: () => {} } as const;
    const balancer = createUsualBalancer(new PlaceFilterContext(this.filterHost, place, new SlotCounter()));
    this.#live.retain(keys);
    return balancer;
  }

  get series(): SeriesRows {
    return this.#options.series;
  }

  /** The innermost dispatch: balance, pool, upstream. */
  #connect(call: Call, response: Sink): Sink {
    const { trace } = call.x as ExchangeRun;
    const observed = trace?.recorded === true ? this.engine.tracer?.attempt(call, trace, response) ?? response : response;
    const attempt = new Attempt(call, observed, this.#thread);
    attempt.begin((call.target as ResolvedTarget).hosts, this.#balancer);
    return attempt;
  }

  // --- listeners --------------------------------------------------------------------------------------------------

  /** As ListenerSet.listen. */
  listen(specs: readonly ListenerSpec[]): Promise<BoundListener[]> {
    return this.#listeners.listen(specs);
  }

  // --- generations ------------------------------------------------------------------------------------------------

  /** Decodes and builds in slices of at most `sliceMs`. Changes nothing that is served. */
  async prepare(candidate: DecodeInput, { hashesVerified, decoded: cache }: PrepareOptions): Promise<PrepareResult> {
    const began = performance.now();
    const decoded = await decodeInSlices(candidate, this.#options.kinds, {
      cache, hashesVerified, sliceMs, clock: this.#options.clock, pause,
    });
    if (!decoded.ok) return { ok: false, errors: decoded.errors };
    try {
      const generation = await this.#build(buildGeneration({
        snapshot: decoded.snapshot,
        label: { version: formatVersion(candidate.version), hash: candidate.hash },
        places: this.#places,
        clusterFor: (service) => this.#cluster(service),
        securityFor: (settings) => this.#securities.for(settings),
        appFor: (port) => this.#apps.target(port),
      }));
      await this.#options.shared?.granted();
      this.#prepared.set(candidate.hash, generation);
      return { ok: true, buildMs: performance.now() - began };
    } catch (error) {
      return { ok: false, errors: [prepareError(error)] };
    }
  }

  async #build(steps: Generator<void, Generation>): Promise<Generation> {
    let sliceEnd = performance.now() + sliceMs;
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      if (performance.now() < sliceEnd) continue;
      await pause();
      sliceEnd = performance.now() + sliceMs;
    }
  }

  /** One reference changes, between two turns. */
  swap(hash: string, version: Version): { readonly warming: readonly string[]; readonly memories: readonly string[] } {
    const generation = this.#prepared.get(hash);
    if (generation === undefined) throw new Error(`snapshot ${hash} is not prepared`);
    this.#prepared.delete(hash);
    generation.label = Object.freeze({ version: formatVersion(version), hash });
    this.#live.retain(generation.liveKeys);
    const previous = this.engine.generation;
    this.engine.use(generation);
    this.#connectAsNow(generation);
    if (previous !== null) this.#live.release(previous.liveKeys);
    this.#live.sweep();
    if (this.#options.series.crowded) this.#options.series.release(generation.snapshot.routes.map(({ name }) => name));
    return { warming: [], memories: this.#live.keysUnder(sharedPrefix) };
  }

  /** Pools of settings that are no more close what is idle. */
  #connectAsNow({ destinations }: Generation): void {
    let moved = false;
    for (const { fallback } of destinations.values()) {
      for (const { target } of fallback.targets) moved = target.cluster.connect(target.port, target.how) || moved;
    }
    if (moved) this.#retirePools();
  }

  boundListeners(): BoundListener[] {
    return this.#listeners.bound();
  }

  discard(hash: string): void {
    this.#prepared.delete(hash);
    this.#live.sweep();
  }

  relabel(version: Version): void {
    const { generation } = this.engine;
    if (generation !== null) generation.label = Object.freeze({ version: formatVersion(version), hash: generation.hash });
  }

  // --- endpoints --------------------------------------------------------------------------------------------------

  #cluster(service: string): Cluster {
    let cluster = this.#clusters.get(service);
    if (cluster === undefined) {
      cluster = new Cluster(service, { poolFor: (address) => this.#pools.at(address), mesh: () => this.#mesh.for(service), states: this.#hostStates, locality: this.#options.locality ?? '' });
      this.#clusters.set(service, cluster);
    }
    return cluster;
  }

  applyEndpoints(update: GrantedEndpoints): void {
    for (const granted of update.sets) {
      // The control thread checked the sets; what cannot be read leaves the service as it is.
      const decoded = decodeEndpointSet(granted.bytes);
      if (decoded.ok) this.#cluster(decoded.set.service).apply(decoded.set, granted);
    }
    for (const service of update.removed) this.#clusters.get(service)?.forget();
    this.#retirePools();
  }

  /** Pools that no endpoint names close what is idle. */
  #retirePools(): void {
    const used = new Set<string>();
    for (const cluster of this.#clusters.values()) for (const address of cluster.addresses()) used.add(address);
    for (const address of this.#apps.addresses()) used.add(address);
    for (const address of this.#outside.addresses()) used.add(address);
    this.#pools.retain(used);
  }

  /** From the next connection on. */
  useTlsMaterial(material: TlsMaterial): void {
    this.#material.use(material);
    this.#choosePoolsAnew();
  }

  /** What connections are made with has changed. */
  #choosePoolsAnew(): void {
    for (const cluster of this.#clusters.values()) cluster.refresh();
    this.#retirePools();
  }

  /** From the next request or connection on. */
  useFacts(update: FactUpdate): void {
    this.#thread.facts.apply(update);
    if (!this.#identity.refresh()) return;
    this.engine.identitiesChanged();
    this.#mesh.refresh();
  }

  // --- views and the end ------------------------------------------------------------------------------------------

  describe(): object {
    const { generation } = this.engine;
    return {
      snapshot: generation?.label ?? null,
      tunnels: this.engine.tunnels.describe(this.#options.clock.monotonicMs()),
      connections: this.engine.admission.connections,
      overload: { stage: this.engine.admission.overload.stage, cause: this.engine.admission.overload.cause },
      timers: this.#thread.wheels.size,
      http2Windows: { extraBytes: this.#thread.windows.used, extraBytesPeak: this.#thread.windows.peak, extraBytesMax: this.#thread.windows.bytesMax },
      heldBodies: { bytes: this.engine.heldBytes.bytes, bytesMax: heldBytesMax },
      liveStates: this.#live.size,
      handles: this.#listeners.handles,
      listeners: this.#listeners.all().map(({ spec, port, connections, handshakes, accepted, refused, draining }) =>
        ({ name: spec.name, host: spec.host, port, connections, handshakes, accepted, refused, draining })),
      pools: this.#pools.describe(),
      endpoints: Object.fromEntries([...this.#clusters].map(([service, { endpoints, known }]) =>
        [service, { known, endpoints: endpoints.map(({ id, ports, labels, weight, backup, suspect, draining }) => ({ id, ports: Object.fromEntries(ports), labels, weight, backup, suspect, draining })) }])),
      hosts: [...this.#clusters.values()].flatMap(({ hosts }) => [...hosts].map((host) => host.shown())),
      counters: Object.fromEntries(this.#options.series.events.toMap()),
      logLinesDropped: this.#options.log.dropped + (this.#options.logFiles?.dropped ?? 0),
    };
  }

  /** Inbound and gateway listeners stop accepting; answers how many exchanges were cut at the deadline. */
  async drain(deadlineMs: number): Promise<number> {
    const draining = this.#listeners.all().filter(({ spec }) => spec.side !== 'outbound');
    const deadline = Promise.withResolvers<'deadline'>();
    const timer = this.#options.timers.after(deadlineMs, () => deadline.resolve('deadline'));
    // Tunnels do not end by themselves: they have their time, and a moment for their goodbye.
    let ended = 0;
    const goodbye = this.#options.timers.after(Math.max(0, deadlineMs - tunnelGoodbyeMs), () => {
      ended = this.engine.tunnels.endAll((run) => run.pin.side !== 'outbound', { answer: answerFor(reasons.draining, 'the time to drain is over'), closeCode: 1001 });
      this.#thread.turn.end();
    });
    const outcome = await Promise.race([Promise.all(draining.map((binding) => binding.drain())), deadline.promise]);
    timer.cancel();
    goodbye.cancel();
    if (outcome === 'deadline') for (const binding of draining) ended += binding.close();
    await this.#giveBack();
    return ended;
  }

  /** What is leased of the fleet's limits and quotas, as long as somebody answers. */
  async #giveBack(): Promise<void> {
    this.#live.lapse();
    const late = Promise.withResolvers<void>();
    const timer = this.#options.timers.after(giveBackMs, late.resolve);
    await Promise.race([this.#options.questions.quiet(), late.promise]);
    timer.cancel();
  }

  close(): void {
    // Those of the app's own calls had no drain: what was written with their end still goes out.
    this.engine.tunnels.forEach((run) => run.endTunnel({ answer: answerFor(reasons.draining, 'the sidecar stops'), closeCode: 1001 }));
    for (const binding of this.#listeners.all()) binding.close();
    this.#pools.destroy();
    this.engine.admission.close();
    this.#thread.wheels.close();
    this.#options.log.flush();
    this.#options.logFiles?.flush();
  }
}

export interface PrepareOptions {
  /** Somebody compared the bytes with their hashes. */
  readonly hashesVerified: boolean;
  /** What was decoded before, and is kept by the caller for as long as it may come again. */
  readonly decoded: PartCache;
}

function prepareError(error: unknown): PrepareError {
  if (error instanceof BuildError) return error.error;
  return { resource: 'manifest', kind: '', pointer: '', code: 'cannot-build', message: error instanceof Error ? error.message : String(error), policies: [] };
}

/** A store that does not answer holds nothing up for longer. */
const giveBackMs = 1_000;

/** Before the deadline of a drain, tunnels are ended: they have this long for it. */
const tunnelGoodbyeMs = 1500;

/** What windows of HTTP/2 may grow by on one thread: four connections over the longest ways, or very many over usual ones. */
const windowGrowthMax = 64 * 1024 * 1024;

/** Longest piece of work between two looks at the sockets; collecting its garbage may take as long again. */
const sliceMs = 4;

function pause(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
