import { storedChain, storedTroubles } from './stored-chain.ts';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { NodeIdentity, PeerFacts } from '@remora/identity/node-identity';
import type { Batch, CallerCount, Event, Refusal, Series } from '@remora/proto/gen/remora/telemetry/v1/telemetry';
import { callerKey, CallerHistory, type CallerTraffic } from './caller-history.ts';
import { differenceOf, isEmpty, readCumulative } from './cumulative-counts.ts';
import { ReasonCatalogue } from './reason-catalogue.ts';
import { RefusalStore } from './refusal-store.ts';
import { FleetTotals } from './fleet-totals.ts';
import { HeldStates, type HeldState } from './held-states.ts';
import { overflow, SeriesCatalogue, type SeriesIdentity } from './series-catalogue.ts';
import type {
  RefusalQuery, Reporter, StoredEvent, StoredRefusal, TelemetryHub, TelemetryQuery, TelemetrySizes, TelemetrySummary, TopQuery, TopRow,
} from './telemetry-hub.ts';
import { summarize } from './telemetry-summary.ts';
import { listTop } from './telemetry-top.ts';
import { TargetTotals } from './target-totals.ts';
import type { TrafficCounts } from './traffic-counts.ts';
import { slotMs, slotsKept, TrafficHistory } from './traffic-history.ts';

export interface TelemetryLimits {
  readonly seriesMax: number;
  readonly seriesPerBatchMax: number;
  readonly reportersMax: number;
  readonly historyBytesMax: number;
  readonly rowsPerSlotMax: number;
  readonly refusalsPerSidecar: number;
  readonly refusalsMax: number;
  readonly eventsMax: number;
}

export const defaultTelemetryLimits: TelemetryLimits = {
  seriesMax: 50_000,
  seriesPerBatchMax: 4_096,
  reportersMax: 20_000,
  historyBytesMax: 128 * 1024 * 1024,
  rowsPerSlotMax: 20_000,
  refusalsPerSidecar: 200,
  refusalsMax: 20_000,
  eventsMax: 2_000,
};

export interface TelemetryHubDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly identity: NodeIdentity;
  readonly limits?: Partial<TelemetryLimits>;
}

export function createTelemetryHub(deps: TelemetryHubDeps): TelemetryHub {
  return new Ingest(deps);
}

/** What is known of one sidecar's reports. */
interface Source {
  readonly nodeId: string;
  readonly subject: string;
  readonly incarnation: number;
  sequence: number;
  lastMs: number;
  lastWallMs: number;
  droppedBatches: number;
  /** The last sums of each series; the numbers of the series beside them. */
  readonly sums: Map<string, { readonly identity: SeriesIdentity; counts: TrafficCounts }>;
  /** The last sums of each caller of its ports. */
  readonly callers: Map<string, number>;
}

/** A first report that covers less than this counts as of now. */
const freshAgeMs = 60_000;
/** Reports come every 5 s: what was held by whoever missed so many is not known any more. */
const heldMs = 30_000;
const forgetEveryMs = 60_000;
const callersPerBatchMax = 512;
/** No port has this name. */
const outsidePort = '->';

class Ingest implements TelemetryHub {
  readonly #clock: Clock;
  readonly #identity: NodeIdentity;
  readonly #limits: TelemetryLimits;
  readonly #series: SeriesCatalogue;
  readonly #reasons = new ReasonCatalogue();
  readonly totals: FleetTotals = new FleetTotals(this.#reasons);
  readonly targets: TargetTotals = new TargetTotals();
  readonly #history: TrafficHistory;
  readonly #refusals: RefusalStore;
  readonly #relayed: RefusalStore;
  readonly #held = new HeldStates();
  readonly #callers = new CallerHistory();
  /** Hosts that services called and do not declare, as if they were their callers. */
  readonly #unknown = new CallerHistory();
  readonly #sources = new Map<string, Source>();
  readonly #sweeper: Timer;
  #events: StoredEvent[] = [];
  #batches = 0;
  #rejected = 0;

  constructor(deps: TelemetryHubDeps) {
    this.#clock = deps.clock;
    this.#identity = deps.identity;
    this.#limits = { ...defaultTelemetryLimits, ...deps.limits };
    this.#series = new SeriesCatalogue({ max: this.#limits.seriesMax, keepMs: slotMs * slotsKept });
    this.#history = new TrafficHistory({ nowMs: deps.clock.monotonicMs(), bytesMax: this.#limits.historyBytesMax, rowsPerSlotMax: this.#limits.rowsPerSlotMax });
    this.#relayed = new RefusalStore({ perNodeMax: this.#limits.refusalsPerSidecar, max: this.#limits.refusalsMax });
    this.#refusals = new RefusalStore({ perNodeMax: this.#limits.refusalsPerSidecar, max: this.#limits.refusalsMax });
    this.#sweeper = deps.timers.every(forgetEveryMs, () => this.#forget());
  }

  ingest(batch: Batch, peer: PeerFacts): string | null {
    const problem = this.#problemOf(batch, peer);
    if (problem !== null) {
      this.#rejected++;
      return problem;
    }
    this.#batches++;
    const now = this.#clock.monotonicMs();
    const subject = `${batch.subjectKind}/${batch.subjectName}`;
    const incarnation = Number(batch.incarnation);
    const before = this.#sources.get(batch.nodeId);
    const sequence = Number(batch.sequence);
    if (before?.incarnation === incarnation && sequence <= before.sequence) return null;
    const continues = before?.incarnation === incarnation && before.subject === subject;
    // A new process of a node that was known counts from zero; a node that was not known only where it is young.
    const countsFromZero = before ? !continues : Number(batch.ageMs) <= freshAgeMs;
    const source: Source = continues ? before : { nodeId: batch.nodeId, subject, incarnation, sequence, lastMs: now, lastWallMs: 0, droppedBatches: 0, sums: new Map(), callers: new Map() };
    const span = before ? Math.ceil((now - before.lastMs) / slotMs) : 1;
    this.#takeSeries(source, batch.series, { now, span, countsFromZero: continues || countsFromZero });
    if (batch.subjectKind === 'service') {
      this.#takeCallers(source, { service: batch.subjectName, into: this.#callers }, batch.callers, continues || countsFromZero);
      this.#takeCallers(source, { service: batch.subjectName, into: this.#unknown }, batch.unknown.map(({ host, requests }) => ({ port: outsidePort, mtls: false, peer: host, requests })), continues || countsFromZero);
    }
    source.sequence = sequence;
    source.lastMs = now;
    source.lastWallMs = this.#clock.wallMs();
    source.droppedBatches = Number(batch.droppedBatches);
    this.#sources.delete(batch.nodeId);
    this.#sources.set(batch.nodeId, source);
    for (const refusal of batch.refusals) (refusal.reason === '' ? this.#relayed : this.#refusals).add(storedRefusal(refusal, batch.nodeId, subject));
    this.#takeEvents(batch.events, batch.nodeId, subject);
    this.#held.take(batch.nodeId, subject, batch.health, now);
    return null;
  }

  #takeCallers(source: Source, { service, into }: { readonly service: string; readonly into: CallerHistory }, counts: readonly CallerCount[], countsFromZero: boolean): void {
    for (const caller of counts.slice(0, callersPerBatchMax)) {
      const key = callerKey(caller);
      const sum = Number(caller.requests);
      const before = source.callers.get(key);
      source.callers.set(key, sum);
      if (before !== undefined || countsFromZero) into.add(service, caller, sum - (before ?? 0), this.#clock.wallMs());
    }
  }

  held(query: { readonly service?: string }): readonly HeldState[] {
    return this.#held.current({ ...query, sinceMs: this.#clock.monotonicMs() - heldMs, wallMs: this.#clock.wallMs() });
  }

  callers({ service, sinceMs }: { readonly service: string; readonly sinceMs: number }): readonly CallerTraffic[] {
    return this.#callers.of(service, sinceMs);
  }

  unknownDestinations({ service, sinceMs }: { readonly service: string; readonly sinceMs: number }): readonly { readonly host: string; readonly requests: number; readonly lastAtMs: number }[] {
    return this.#unknown.of(service, sinceMs).map(({ peer, requests, lastAtMs }) => ({ host: peer, requests, lastAtMs }));
  }

  summary(query: TelemetryQuery): TelemetrySummary {
    return summarize(query, { series: this.#series, reasons: this.#reasons, history: this.#history, nowMs: this.#clock.monotonicMs(), wallMs: this.#clock.wallMs() });
  }

  top(query: TopQuery): readonly TopRow[] {
    return listTop(query, { series: this.#series, reasons: this.#reasons, history: this.#history, nowMs: this.#clock.monotonicMs(), wallMs: this.#clock.wallMs() });
  }

  relayed(requestId: string): readonly StoredRefusal[] {
    return this.#relayed.find({ requestId, limit: relayedMax });
  }

  refusals(query: RefusalQuery): readonly StoredRefusal[] {
    return this.#refusals.find(query);
  }

  events(query: { readonly nodeId?: string; readonly sinceMs?: number; readonly limit: number }): readonly StoredEvent[] {
    const since = query.sinceMs;
    const found = this.#events.filter((event) => (query.nodeId === undefined || event.nodeId === query.nodeId) && (since === undefined || Date.parse(event.at) >= since));
    return found.reverse().slice(0, Math.max(0, query.limit));
  }

  reporters(): readonly Reporter[] {
    const all = [...this.#sources.values()].map((source) => ({
      nodeId: source.nodeId, subject: source.subject, incarnation: source.incarnation, lastReport: new Date(source.lastWallMs).toISOString(),
      series: source.sums.size, droppedBatches: source.droppedBatches,
    }));
    return all.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  }

  sizes(): TelemetrySizes {
    return {
      series: this.#series.size, seriesMax: this.#limits.seriesMax, overflowedSeries: this.#series.overflowed, targetsLeftOut: this.targets.leftOut, refusals: this.#refusals.size,
      batches: this.#batches, rejectedBatches: this.#rejected, historyBytes: this.#history.bytes, droppedRows: this.#history.droppedRows,
    };
  }

  close(): void {
    this.#sweeper.cancel();
  }

  #problemOf(batch: Batch, peer: PeerFacts): string | null {
    if (!/^[A-Za-z0-9._:-]{1,253}$/.test(batch.nodeId)) return 'node_id: 1 to 253 characters of A-Z a-z 0-9 . _ : - are expected';
    if (batch.subjectKind !== 'service' && batch.subjectKind !== 'gateway') return 'subject_kind: service or gateway is expected';
    if (batch.subjectName === '' || batch.subjectName.length > 253) return 'subject_name: 1 to 253 characters are expected';
    if (!this.#sources.has(batch.nodeId) && this.#sources.size >= this.#limits.reportersMax) return `This control plane takes reports of at most ${this.#limits.reportersMax} sidecars.`;
    const verdict = this.#identity.verify(peer, { nodeId: batch.nodeId, subject: { kind: batch.subjectKind, name: batch.subjectName } });
    return verdict.ok ? null : verdict.reason;
  }

  #takeSeries(source: Source, reported: readonly Series[], at: { readonly now: number; readonly span: number; readonly countsFromZero: boolean }): void {
    for (const series of reported.slice(0, this.#limits.seriesPerBatchMax)) {
      const identity: SeriesIdentity = {
        nodeId: source.nodeId, subject: source.subject, side: series.side.slice(0, 16), route: series.route.slice(0, 253), destination: series.destination.slice(0, 253), target: series.target.slice(0, 253),
      };
      const key = `${identity.side} ${identity.destination} ${identity.target} ${identity.route}`;
      if (identity.side !== 'inbound') this.targets.seen(identity, at.now);
      const known = source.sums.get(key);
      const sums = readCumulative(series, this.#reasons);
      if (known) this.#count(identity, series, differenceOf(sums, known.counts), at);
      else if (at.countsFromZero) this.#count(identity, series, sums, at);
      else this.#series.idOf(identity, Number(series.active), at.now);
      if (known) known.counts = sums;
      else source.sums.set(key, { identity, counts: sums });
    }
  }

  #count(identity: SeriesIdentity, series: Series, counts: TrafficCounts, at: { readonly now: number; readonly span: number }): void {
    const id = this.#series.idOf(identity, Number(series.active), at.now);
    if (isEmpty(counts)) return;
    this.totals.add(identity, counts);
    if (identity.side !== 'inbound') this.targets.add(identity, counts);
    if (this.#history.add(at.now, id, at.span, counts)) return;
    // The slot is full: the totals stay right in the overflow series, which is there already.
    this.#history.add(at.now, this.#series.idOf({ nodeId: overflow, subject: identity.subject, side: identity.side, route: overflow, destination: '', target: '' }, 0, at.now), at.span, counts);
  }

  #takeEvents(events: readonly Event[], nodeId: string, subject: string): void {
    for (const { atMs, type, message, attributes } of events.slice(0, 256)) {
      this.#events.push({ nodeId, subject, at: timeText(atMs), type: type.slice(0, 64), message: message.slice(0, 1_024), attributes: boundedAttributes(attributes) });
    }
    if (this.#events.length > this.#limits.eventsMax) this.#events = this.#events.slice(-this.#limits.eventsMax);
  }

  #forgetSource(nodeId: string): void {
    this.#sources.delete(nodeId);
    this.#held.forget(nodeId);
  }

  #forget(): void {
    this.#callers.sweep(this.#clock.wallMs());
    this.#unknown.sweep(this.#clock.wallMs());
    const now = this.#clock.monotonicMs();
    this.#series.forgetUnused(now);
    for (const [nodeId, source] of this.#sources) if (now - source.lastMs > slotMs * slotsKept) this.#forgetSource(nodeId);
  }
}

/** Of one request. */
const relayedMax = 100;

function storedRefusal(refusal: Refusal, nodeId: string, subject: string): StoredRefusal {
  return {
    nodeId, subject,
    requestId: refusal.requestId.slice(0, 256),
    at: timeText(refusal.atMs),
    side: refusal.side.slice(0, 16),
    method: refusal.method.slice(0, 32),
    authority: refusal.authority.slice(0, 256),
    path: refusal.path.slice(0, 1_024),
    route: refusal.route.slice(0, 253),
    destination: refusal.destination.slice(0, 253),
    status: refusal.status,
    reason: refusal.reason.slice(0, 128),
    responseFlag: refusal.responseFlag.slice(0, 32),
    kind: refusal.kind.slice(0, 128),
    pointer: refusal.pointer.slice(0, 512),
    policy: refusal.policy.slice(0, 253),
    configVersion: { epoch: Number(refusal.configEpoch), index: Number(refusal.configIndex) },
    configHash: refusal.configHash.toString('hex').slice(0, 64),
    detail: refusal.detail.slice(0, 1_024),
    clientAddress: refusal.clientAddress.slice(0, 64),
    traceId: refusal.traceId.slice(0, 32),
    shadow: refusal.shadow,
    chain: storedChain(refusal.chain),
    held: storedTroubles(refusal.held),
  };
}

/** Clocks of sidecars are input. */
function timeText(atMs: bigint): string {
  return new Date(Math.min(Number(atMs), 8.64e15)).toISOString();
}

function boundedAttributes(attributes: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const bounded = Object.create(null) as Record<string, string>;
  for (const [key, value] of Object.entries(attributes).slice(0, 32)) bounded[key.slice(0, 64)] = value.slice(0, 512);
  return bounded;
}
