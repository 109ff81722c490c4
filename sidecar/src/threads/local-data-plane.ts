import type { FactUpdate } from '@remora/policy-kit/facts';
import type net from 'node:net';
import { systemClock, systemTimers, type Clock, type Timers } from '@remora/core/clock';
import { systemRandom, type Random } from '@remora/core/random';
import type { Version } from '@remora/core/version';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import type { Candidate } from '@remora/snapshot/candidate';
import { DecodeCache } from '@remora/snapshot/decode-cache';
import type {
  BoundListener, DataPlane, EndpointUpdate, ListenerSpec, PrepareResult, RefusalRecord, RequestQuestion, SeriesReading,
} from './data-plane.ts';
import type { HealthReport } from '../records/health-batch.ts';
import { DataPlaneThread } from './data-plane-thread.ts';
import { clientConnectionsMax } from '../io/descriptor-reserve.ts';
import { decideRequest } from '../pipeline/decide-request.ts';
import { joinLooks, type TapAnswer, type TapAsk } from '../pipeline/request-taps.ts';
import { explainRequest } from '../pipeline/explain-request.ts';
import { LogLines, type LogWriter } from '../records/log-lines.ts';
import { RefusalBatch } from '../records/refusal-batch.ts';
import { SeriesRows } from '../records/series-rows.ts';
import { SeriesSums } from '../records/series-sums.ts';
import { ThreadQuestions } from './thread-questions.ts';
import type { QuestionHandler } from '@remora/policy-kit/questions';
import type { TlsMaterial } from '../tls/tls-material.ts';
import { HostSlots } from '../upstream/host-slots.ts';
import type { PoolLimits } from '../upstream/pool-limits.ts';
import type { SpanRecord } from '../records/span-record.ts';
import { SpanRing } from '../records/span-ring.ts';
import { SpanRings } from '../records/span-rings.ts';

export interface LocalDataPlaneOptions {
  readonly nodeId: string;
  readonly kinds: ReadonlyMap<string, RuntimeKind<unknown>>;
  readonly clock?: Clock;
  readonly timers?: Timers;
  readonly random?: Random;
  /** Where access-log lines go; nowhere by default. */
  readonly writeLog?: LogWriter;
  /** Records spans of requests; `ratio`: of the traces that begin here, 0 to 1. */
  readonly spans?: { readonly ratio: number };
  /** Of the limit on memory, 0 to 1; absent: memory sheds nothing. */
  readonly memoryShare?: () => number;
  readonly poolLimits?: Partial<PoolLimits>;
  /** Of this sidecar, `region/zone/subzone`. */
  readonly locality?: string;
  /** Opens connections to upstreams; `net.connect` by default. */
  readonly dial?: (options: net.NetConnectOpts) => net.Socket;
  /** Makes what listens; `net.createServer` by default. */
  readonly makeServer?: typeof net.createServer;
}

/** The data plane in the thread of its caller: the same engine without workers, for the simulator and tests. */
export class LocalDataPlane implements DataPlane {
  readonly #thread: DataPlaneThread;
  readonly #refusals: RefusalBatch;
  readonly hosts: HostSlots;
  readonly #decoded = new DecodeCache();
  readonly #sums = new SeriesSums();
  readonly #spans = new SpanRings();
  #onHealth: (report: HealthReport) => void = () => {};
  #onRefusal: (refusal: RefusalRecord) => void = () => {};
  #onRelayed: (failure: RefusalRecord) => void = () => {};
  #onQuestion: QuestionHandler = () => Promise.resolve(null);
  readonly #questions = new ThreadQuestions((id, topic, body) => void this.#ask(id, topic, body));

  constructor(options: LocalDataPlaneOptions) {
    const timers = options.timers ?? systemTimers;
    const after = (delayMs: number, run: () => void): void => void timers.after(delayMs, run);
    this.#refusals = new RefusalBatch(({ records, relayed, counts }) => {
      this.#sums.addRefusals(counts);
      for (const record of records) this.#onRefusal(record);
      for (const failure of relayed) this.#onRelayed(failure);
    }, after);
    const series = new SeriesRows(undefined, {
      onReleased: (rows) => {
        this.#sums.fold(0, rows);
        series.reuse(rows);
      },
    });
    const ring = options.spans === undefined ? null : new SpanRing();
    if (ring !== null) this.#spans.setSource(0, ring);
    this.hosts = new HostSlots(options.clock ?? systemClock);
    this.#thread = new DataPlaneThread({
      hostStates: this.hosts.states,
      locality: options.locality ?? '',
      nodeId: options.nodeId,
      questions: this.#questions,
      kinds: options.kinds,
      clock: options.clock ?? systemClock,
      timers,
      random: options.random ?? systemRandom,
      refusals: this.#refusals,
      health: { add: (event) => this.#onHealth({ events: [event], dropped: 0 }) },
      log: new LogLines(options.writeLog ?? ((_, done) => done()), after),
      series,
      ...(ring !== null && options.spans !== undefined && { spans: { ring, ratio: options.spans.ratio } }),
      reusePort: false,
      connectionsMax: clientConnectionsMax(),
      ...(options.memoryShare && { memoryShare: options.memoryShare }),
      ...(options.poolLimits && { poolLimits: options.poolLimits }),
      ...(options.dial && { dial: options.dial }),
      ...(options.makeServer && { makeServer: options.makeServer }),
    });
    this.#sums.setSource(0, { values: new Float64Array(series.memory), names: series.names });
  }

  listen(listeners: readonly ListenerSpec[]): Promise<readonly BoundListener[]> {
    return this.#thread.listen(listeners);
  }

  /** Listeners that are bound now, those of the snapshot included. */
  boundListeners(): readonly BoundListener[] {
    return this.#thread.boundListeners();
  }

  prepare(candidate: Candidate): Promise<PrepareResult> {
    this.#decoded.age();
    return this.#thread.prepare(candidate, { hashesVerified: false, decoded: this.#decoded });
  }

  async swap(hash: string, version: Version): Promise<{ readonly warming: readonly string[] }> {
    return { warming: this.#thread.swap(hash, version).warming };
  }

  discard(hash: string): void {
    this.#thread.discard(hash);
  }

  relabel(version: Version): void {
    this.#thread.relabel(version);
  }

  async applyEndpoints(update: EndpointUpdate): Promise<void> {
    this.#thread.applyEndpoints(this.hosts.grant(update));
    this.hosts.release(this.hosts.takeLeaving());
  }

  async useTlsMaterial(material: TlsMaterial): Promise<void> {
    this.#thread.useTlsMaterial(material);
  }

  async useFacts(update: FactUpdate): Promise<void> {
    this.#thread.useFacts(update);
  }

  async tap(ask: TapAsk): Promise<TapAnswer> {
    return joinLooks([this.#thread.engine.tap(ask)]);
  }

  sweepTaps(): void {
    this.#thread.engine.sweepTaps();
  }

  async explainRequest(request: RequestQuestion): Promise<object> {
    const { engine, filterHost } = this.#thread;
    return request.as === undefined ? explainRequest(engine.generation, request) : decideRequest(engine.generation, filterHost, request);
  }

  async describe(): Promise<object> {
    return { threads: [this.#thread.describe()] };
  }

  async drain(deadlineMs: number): Promise<{ readonly cut: number }> {
    return { cut: await this.#thread.drain(deadlineMs) };
  }

  async close(): Promise<void> {
    this.#thread.close();
    this.#refusals.flush();
  }

  onHealth(handler: (report: HealthReport) => void): void {
    this.#onHealth = handler;
  }

  onRelayed(handler: (failure: RefusalRecord) => void): void {
    this.#onRelayed = handler;
  }

  onRefusal(handler: (refusal: RefusalRecord) => void): void {
    this.#onRefusal = handler;
  }

  onWorkerDeath(): void {}

  onQuestion(handler: QuestionHandler): void {
    this.#onQuestion = handler;
  }

  async #ask(id: number, topic: string, asked: Uint8Array): Promise<void> {
    const body = await this.#onQuestion(topic, asked).catch(() => null);
    this.#questions.answer(id, body);
  }

  readSeries(): readonly SeriesReading[] {
    this.#refusals.flush();
    return this.#sums.read();
  }

  readCallers(): ReadonlyMap<string, number> {
    return this.#sums.readCallers();
  }

  readPolicyEvents(): ReadonlyMap<string, number> {
    return this.#sums.readEvents();
  }

  overloadStage(): number {
    return this.#thread.engine.admission.overload.stage;
  }

  takeSpans(max: number): readonly SpanRecord[] {
    return this.#spans.take(max);
  }

  droppedSpans(): number {
    return this.#spans.dropped;
  }

  takeStallMs(): number {
    return 0;
  }
}
