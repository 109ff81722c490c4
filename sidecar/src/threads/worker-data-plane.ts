import type { Subject } from '@remora/core/subject';
import type { Version } from '@remora/core/version';
import type { Candidate } from '@remora/snapshot/candidate';
import type {
  BoundListener, DataPlane, EndpointUpdate, ListenerSpec, PrepareResult, RefusalRecord, RequestQuestion, SeriesReading,
} from './data-plane.ts';
import { joinLooks, type TapAnswer, type TapAsk } from '../pipeline/request-taps.ts';
import type { HealthReport } from '../records/health-batch.ts';
import { DataThread } from './data-thread.ts';
import { clientConnectionsMax } from '../io/descriptor-reserve.ts';
import { MemoryGrants } from '../generation/memory-grants.ts';
import { probePort } from '../io/port-probe.ts';
import { HostSlots } from '../upstream/host-slots.ts';
import { SeriesSums } from '../records/series-sums.ts';
import type { SpanRecord } from '../records/span-record.ts';
import { SpanRing } from '../records/span-ring.ts';
import { SpanRings } from '../records/span-rings.ts';
import { FactBooks, type FactUpdate } from '@remora/policy-kit/facts';
import type { QuestionHandler } from '@remora/policy-kit/questions';
import type { TlsMaterial } from '../tls/tls-material.ts';
import { monotonicOriginMs, threadClock } from '../io/thread-clock.ts';

export interface WorkerDataPlaneOptions {
  /** Data threads: 1 or more. */
  readonly workers: number;
  readonly subject: Subject;
  /** Kinds to leave out, as if this were an older build. */
  readonly withoutKinds: readonly string[];
  /** Shown as `hop` to trusted callers; the subject by default. */
  readonly nodeId?: string;
  /** Where policies may log to files; without it such a policy is refused. */
  readonly logFolder?: string;
  /** Bytes that the process may use before it sheds load; absent or 0: what the container allows, where it says. */
  readonly memoryLimitBytes?: number;
  /** Record spans of requests; `ratio`: of the traces that begin here, 0 to 1. */
  readonly spans?: { readonly ratio: number };
  /** Of this sidecar, `region/zone/subzone`. */
  readonly locality?: string;
}

/**
 * The data plane in worker threads. A thread that dies is replaced and brought to what the others have; its connections are lost, its
 * figures not. Only threads that are up to date take part; what happens while a new one is brought up is done again in it.
 */
export class WorkerDataPlane implements DataPlane {
  readonly #options: WorkerDataPlaneOptions;
  readonly #sums = new SeriesSums();
  readonly #spans = new SpanRings();
  readonly #memories = new MemoryGrants();
  readonly #originMs = monotonicOriginMs();
  readonly hosts = new HostSlots(threadClock(this.#originMs));
  /** Slots of hosts that are gone, in threads that are not up to date perhaps not yet. */
  #leaving: number[] = [];
  /** By index. */
  readonly #threads = new Map<number, DataThread>();
  /** Threads that are not up to date yet. */
  readonly #joining = new Set<DataThread>();
  #onRefusal: (refusal: RefusalRecord) => void = () => {};
  #onRelayed: (failure: RefusalRecord) => void = () => {};
  #onHealth: (report: HealthReport) => void = () => {};
  #onDeath: (worker: number, cause: string) => void = () => {};
  #onQuestion: QuestionHandler = () => Promise.resolve(null);
  #listeners: readonly ListenerSpec[] = [];
  #current: Candidate | null = null;
  #version: Version | null = null;
  readonly #prepared = new Map<string, Candidate>();
  #material: TlsMaterial | null = null;
  /** What a thread that comes later is told. */
  readonly #facts = new FactBooks();
  #closed = false;
  #nextId = 0;
  #deaths = 0;
  #respawnDelayMs = 0;
  /** Counts what new threads have to know. */
  #changes = 0;
  /** Changes under way in the threads that are up to date. */
  #underway = 0;
  #quiet: PromiseWithResolvers<void> | null = null;

  /** Resolves when every thread runs. */
  static async start(options: WorkerDataPlaneOptions): Promise<WorkerDataPlane> {
    const plane = new WorkerDataPlane(options);
    try {
      await Promise.all(Array.from({ length: Math.max(1, options.workers) }, (_, index) => plane.#join(index)));
    } catch (error) {
      await plane.close();
      throw error;
    }
    return plane;
  }

  private constructor(options: WorkerDataPlaneOptions) {
    this.#options = options;
  }

  #spawn(index: number): DataThread {
    const { workers, withoutKinds, nodeId, subject, logFolder, memoryLimitBytes } = this.#options;
    const id = this.#nextId++;
    const ring = this.#options.spans === undefined ? null : new SpanRing();
    if (ring !== null) this.#spans.setSource(id, ring);
    const thread = new DataThread(
      {
        program: 'remora-data-worker', index, threads: Math.max(1, workers), nodeId: nodeId ?? `${subject.kind}/${subject.name}`, withoutKinds, reusePort: workers > 1,
        connectionsMax: Math.floor(clientConnectionsMax() / Math.max(1, workers)), memoryLimitBytes: memoryLimitBytes ?? 0, logFolder: logFolder ?? '',
        sharesMemory: workers > 1, monotonicOriginMs: this.#originMs, hostsMemory: this.hosts.memory, locality: this.#options.locality ?? '',
        spans: ring === null ? null : { memory: ring.memory, ratio: this.#options.spans?.ratio ?? 1 },
      },
      {
        onRefusals: ({ records, relayed, counts }) => {
          this.#sums.addRefusals(counts);
          for (const record of records) this.#onRefusal(record);
          for (const failure of relayed) this.#onRelayed(failure);
        },
        onHealth: (report) => this.#onHealth(report),
        onQuestion: (topic, body) => this.#onQuestion(topic, body),
        onMemory: (wishes) => this.#memories.grant(wishes),
        onSeriesReleased: (rows) => this.#sums.fold(id, rows),
        onDeath: (cause) => {
          this.#sums.retire(id);
          this.#spans.retire(id);
          this.#memories.clearRows(index);
          this.#joining.delete(thread);
          // A thread that never joined is tried again by who brings it up.
          if (this.#threads.get(index) !== thread) return;
          this.#threads.delete(index);
          void this.#replace(index, cause);
        },
      },
    );
    this.#sums.setSource(id, thread.series);
    return thread;
  }

  /** Threads that die at once are replaced more and more slowly, up to 5 s. */
  async #replace(index: number, cause: string): Promise<void> {
    for (let reason = cause; !this.#closed;) {
      this.#deaths++;
      this.#onDeath(index, reason);
      await new Promise((resolve) => {
        setTimeout(resolve, this.#respawnDelayMs);
      });
      this.#respawnDelayMs = Math.min(5000, this.#respawnDelayMs * 2 + 50);
      if (this.#closed) return;
      try {
        await this.#join(index);
        this.#respawnDelayMs = 0;
        return;
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
      }
    }
  }

  /** Starts a thread and brings it to what the others have; rejects where it dies, or cannot be. */
  async #join(index: number): Promise<void> {
    const thread = this.#spawn(index);
    this.#joining.add(thread);
    try {
      await thread.ready;
      let seen = -1;
      while (seen !== this.#changes) {
        while (this.#underway > 0) await (this.#quiet ??= Promise.withResolvers<void>()).promise;
        seen = this.#changes;
        await this.#bringUp(thread);
      }
    } catch (error) {
      thread.kill('could not be brought to the current state');
      throw error;
    } finally {
      this.#joining.delete(thread);
      this.#releaseSlots();
    }
    if (this.#closed) thread.kill('closed');
    else this.#threads.set(index, thread);
  }

  async #bringUp(thread: DataThread): Promise<void> {
    if (this.#material !== null) await thread.ask({ op: 'tls', material: this.#material });
    for (const update of this.#facts.all()) await thread.ask({ op: 'facts', update });
    await thread.ask({ op: 'endpoints', update: this.hosts.all() });
    const [current, version] = [this.#current, this.#version];
    if (current !== null && version !== null) {
      await prepared(thread, current);
      await thread.ask({ op: 'swap', hash: current.hash, version });
      thread.swapped(current);
    }
    for (const candidate of this.#prepared.values()) await prepared(thread, candidate);
    if (this.#listeners.length > 0) await thread.ask({ op: 'listen', specs: this.#listeners });
  }

  /** A change of what threads have: those that are being brought up see it, or are brought up again. */
  async #changing<T>(change: () => Promise<T>): Promise<T> {
    this.#underway++;
    this.#changes++;
    try {
      return await change();
    } finally {
      this.#underway--;
      if (this.#underway === 0) {
        this.#quiet?.resolve();
        this.#quiet = null;
      }
    }
  }

  /** In every thread that is up to date. One that dies over it is not waited for: who replaces it does the same. */
  async #everywhere<T>(work: (thread: DataThread) => Promise<T>): Promise<T[]> {
    const results = await Promise.allSettled([...this.#threads.values()].map(async (thread) => {
      try {
        return await work(thread);
      } catch (error) {
        // Alive, and not able to: it must not serve something else than the others.
        thread.kill(error instanceof Error ? error.message : String(error));
        throw error;
      }
    }));
    return results.filter((result) => result.status === 'fulfilled').map(({ value }) => value);
  }

  async listen(listeners: readonly ListenerSpec[]): Promise<readonly BoundListener[]> {
    return this.#changing(async () => {
      const [first, ...others] = this.#threads.values();
      if (first === undefined) throw new Error('no data thread runs');
      // With SO_REUSEPORT a port that somebody else listens on would be shared without a word: look first.
      if (this.#options.workers > 1) for (const spec of this.#newListeners(listeners)) await probePort(spec);
      const bound = await first.ask({ op: 'listen', specs: listeners });
      const resolved = listeners.map((spec) => ({ ...spec, port: bound.find(({ name }) => name === spec.name)?.port ?? spec.port }));
      await Promise.all(others.map((thread) => thread.ask({ op: 'listen', specs: resolved })));
      this.#listeners = resolved;
      return bound;
    });
  }

  #newListeners(listeners: readonly ListenerSpec[]): ListenerSpec[] {
    return listeners.filter(({ name, host, port }) =>
      port !== 0 && !this.#listeners.some((known) => known.name === name && known.host === host && known.port === port));
  }

  /** Rejects where a thread dies over it: what kills a thread must not be enforced. */
  async prepare(candidate: Candidate): Promise<PrepareResult> {
    return this.#changing(async () => {
      if (this.#threads.size === 0) throw new Error('no data thread runs');
      const results = await Promise.all([...this.#threads.values()].map((thread) => thread.prepare(candidate)));
      const refused = results.find(({ ok }) => !ok);
      if (refused !== undefined) return refused;
      this.#prepared.set(candidate.hash, candidate);
      return { ok: true, buildMs: Math.max(...results.map((result) => (result.ok ? result.buildMs : 0))) };
    });
  }

  async swap(hash: string, version: Version): Promise<{ readonly warming: readonly string[] }> {
    const candidate = this.#prepared.get(hash);
    if (candidate === undefined) throw new Error(`snapshot ${hash} is not prepared`);
    return this.#changing(async () => {
      // From here on a thread that is replaced starts with the new one.
      this.#prepared.delete(hash);
      this.#current = candidate;
      this.#version = version;
      const results = await this.#everywhere(async (thread) => {
        const result = await thread.ask({ op: 'swap', hash, version });
        thread.swapped(candidate);
        return result;
      });
      if (results.length > 0) this.#memories.keepOnly(new Set(results.flatMap(({ memories }) => memories)));
      return { warming: [...new Set(results.flatMap(({ warming }) => warming))] };
    });
  }

  discard(hash: string): void {
    this.#changes++;
    this.#prepared.delete(hash);
    for (const thread of this.#all()) thread.discard(hash);
  }

  relabel(version: Version): void {
    this.#changes++;
    this.#version = version;
    for (const thread of this.#all()) thread.tell({ op: 'relabel', version });
  }

  #all(): DataThread[] {
    return [...this.#threads.values(), ...this.#joining];
  }

  async applyEndpoints(update: EndpointUpdate): Promise<void> {
    await this.#changing(async () => {
      const granted = this.hosts.grant(update);
      const leaving = this.hosts.takeLeaving();
      await this.#everywhere((thread) => thread.ask({ op: 'endpoints', update: granted }));
      this.#leaving.push(...leaving);
    });
    this.#releaseSlots();
  }

  /** Where a thread is being brought up it may have begun with an older set: it ends that first. */
  #releaseSlots(): void {
    if (this.#joining.size > 0) return;
    this.hosts.release(this.#leaving);
    this.#leaving = [];
  }

  async useTlsMaterial(material: TlsMaterial): Promise<void> {
    await this.#changing(async () => {
      this.#material = material;
      await this.#everywhere((thread) => thread.ask({ op: 'tls', material }));
    });
  }

  async useFacts(update: FactUpdate): Promise<void> {
    await this.#changing(async () => {
      this.#facts.apply(update);
      await this.#everywhere((thread) => thread.ask({ op: 'facts', update }));
    });
  }

  async tap(ask: TapAsk): Promise<TapAnswer> {
    const looks = await Promise.all([...this.#threads.values()].map((thread) => thread.ask({ op: 'tap', ask })));
    return joinLooks(looks);
  }

  sweepTaps(): void {
    for (const thread of this.#threads.values()) thread.tell({ op: 'sweepTaps' });
  }

  async explainRequest(question: RequestQuestion): Promise<object> {
    const [thread] = this.#threads.values();
    if (thread === undefined) throw new Error('no data thread runs');
    return thread.ask({ op: 'explain', question });
  }

  /** `deaths`: threads that were lost and replaced, since the start. */
  async describe(): Promise<object> {
    const threads = await Promise.allSettled([...this.#threads.values()].map((thread) => thread.ask({ op: 'describe' })));
    return {
      threads: threads.filter((result) => result.status === 'fulfilled').map(({ value }) => value),
      deaths: this.#deaths, sharedMemories: this.#memories.size,
    };
  }

  async drain(deadlineMs: number): Promise<{ readonly cut: number }> {
    const cut = await Promise.allSettled([...this.#threads.values()].map((thread) => thread.ask({ op: 'drain', deadlineMs })));
    return { cut: cut.reduce((sum, result) => sum + (result.status === 'fulfilled' ? result.value : 0), 0) };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all(this.#all().map((thread) => thread.close()));
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

  onWorkerDeath(handler: (worker: number, cause: string) => void): void {
    this.#onDeath = handler;
  }

  onQuestion(handler: QuestionHandler): void {
    this.#onQuestion = handler;
  }

  readSeries(): readonly SeriesReading[] {
    return this.#sums.read();
  }

  readCallers(): ReadonlyMap<string, number> {
    return this.#sums.readCallers();
  }

  readPolicyEvents(): ReadonlyMap<string, number> {
    return this.#sums.readEvents();
  }

  /** Of the thread that is worst off. */
  overloadStage(): number {
    return Math.max(0, ...[...this.#threads.values()].map((thread) => thread.overloadStage));
  }

  takeSpans(max: number): readonly SpanRecord[] {
    return this.#spans.take(max);
  }

  droppedSpans(): number {
    return this.#spans.dropped;
  }

  takeStallMs(): number {
    return Math.max(0, ...[...this.#threads.values()].map((thread) => thread.takeStallMs()));
  }
}

async function prepared(thread: DataThread, candidate: Candidate): Promise<void> {
  const result = await thread.prepare(candidate);
  if (!result.ok) throw new Error(`a snapshot that the other threads serve cannot be prepared: ${result.errors[0]?.message ?? ''}`);
}
