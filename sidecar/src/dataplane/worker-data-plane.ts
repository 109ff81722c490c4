import type { Subject } from '@remora/core/subject';
import type { Version } from '@remora/core/version';
import type { Candidate } from '@remora/snapshot/candidate';
import type {
  BoundListener, DataPlane, EndpointUpdate, ListenerSpec, PrepareResult, RefusalRecord, RequestQuestion, SeriesReading,
} from './data-plane.ts';
import type { GatewayBinding } from './data-plane-thread.ts';
import { decodeEndpointSet } from '@remora/snapshot/decode-endpoints';
import { DataThread } from './data-thread.ts';
import { clientConnectionsMax } from './descriptor-reserve.ts';
import { probePort } from './port-probe.ts';
import { SeriesSums } from './series-sums.ts';

export interface WorkerDataPlaneOptions {
  /** Data threads: 1 or more. */
  readonly workers: number;
  readonly subject: Subject;
  /** Kinds to leave out, as if this were an older build. */
  readonly withoutKinds: readonly string[];
  /** Shown as `hop` to trusted callers; the subject by default. */
  readonly nodeId?: string;
  /** Bind the listeners of a gateway's snapshots, so that a port in use refuses the snapshot; without it only `listen` binds. */
  readonly gateway?: GatewayBinding;
  /** Where policies may log to files; without it such a policy is refused. */
  readonly logFolder?: string;
}

/** The data plane in worker threads. A thread that dies is replaced and brought to what the others have; its connections are lost, its figures not. */
export class WorkerDataPlane implements DataPlane {
  readonly #options: WorkerDataPlaneOptions;
  readonly #sums = new SeriesSums();
  readonly #threads: DataThread[] = [];
  #onRefusal: (refusal: RefusalRecord) => void = () => {};
  #onDeath: (worker: number, cause: string) => void = () => {};
  #listeners: readonly ListenerSpec[] = [];
  #current: Candidate | null = null;
  #version: Version | null = null;
  readonly #prepared = new Map<string, Candidate>();
  readonly #endpoints = new Map<string, Uint8Array>();
  #closed = false;
  #nextId = 0;
  #respawnDelayMs = 0;

  /** Resolves when every thread runs. */
  static async start(options: WorkerDataPlaneOptions): Promise<WorkerDataPlane> {
    const plane = new WorkerDataPlane(options);
    await Promise.all(Array.from({ length: Math.max(1, options.workers) }, (_, index) => plane.#spawn(index)));
    return plane;
  }

  private constructor(options: WorkerDataPlaneOptions) {
    this.#options = options;
  }

  async #spawn(index: number): Promise<DataThread> {
    const { workers, withoutKinds, nodeId, subject, gateway, logFolder } = this.#options;
    const id = this.#nextId++;
    const thread = new DataThread(
      {
        program: 'remora-data-worker', index, nodeId: nodeId ?? `${subject.kind}/${subject.name}`, withoutKinds, reusePort: workers > 1,
        connectionsMax: Math.floor(clientConnectionsMax() / Math.max(1, workers)), gateway: gateway ?? null, logFolder: logFolder ?? '',
      },
      {
        onRefusals: ({ records, counts }) => {
          this.#sums.addRefusals(counts);
          for (const record of records) this.#onRefusal(record);
        },
        onDeath: (cause) => {
          this.#sums.retire(id);
          void this.#replace(index, cause);
        },
      },
    );
    this.#sums.setSource(id, thread.series);
    this.#threads[index] = thread;
    await thread.ready;
    return thread;
  }

  /** Brings a new thread to what the others have. Threads that die at once are replaced more and more slowly, up to 5 s. */
  async #replace(index: number, cause: string): Promise<void> {
    if (this.#closed) return;
    this.#onDeath(index, cause);
    await new Promise((resolve) => {
      setTimeout(resolve, this.#respawnDelayMs);
    });
    this.#respawnDelayMs = Math.min(5000, this.#respawnDelayMs * 2 + 50);
    if (this.#closed) return;
    try {
      const thread = await this.#spawn(index);
      await thread.ask({ op: 'endpoints', update: { full: true, sets: [...this.#endpoints.values()], removed: [] } });
      if (this.#current !== null && this.#version !== null) {
        await thread.prepare(this.#current);
        await thread.ask({ op: 'swap', hash: this.#current.hash, version: this.#version });
        thread.swapped(this.#current);
      }
      if (this.#listeners.length > 0) await thread.ask({ op: 'listen', specs: this.#listeners });
      this.#respawnDelayMs = 0;
    } catch {
      // The thread died again, or a port was lost to somebody: its death comes here once more, and says so.
      this.#threads[index]?.kill('could not be brought to the current state');
    }
  }

  async listen(listeners: readonly ListenerSpec[]): Promise<readonly BoundListener[]> {
    const [first, ...others] = this.#threads;
    if (first === undefined) throw new Error('the data plane is closed');
    // With SO_REUSEPORT a port that somebody else listens on would be shared without a word: look first.
    if (others.length > 0) for (const spec of this.#newListeners(listeners)) await probePort(spec);
    const bound = await first.ask({ op: 'listen', specs: listeners });
    const resolved = listeners.map((spec) => ({ ...spec, port: bound.find(({ name }) => name === spec.name)?.port ?? spec.port }));
    await Promise.all(others.map((thread) => thread.ask({ op: 'listen', specs: resolved })));
    this.#listeners = resolved;
    return bound;
  }

  #newListeners(listeners: readonly ListenerSpec[]): ListenerSpec[] {
    return listeners.filter(({ name, host, port }) =>
      port !== 0 && !this.#listeners.some((known) => known.name === name && known.host === host && known.port === port));
  }

  async prepare(candidate: Candidate): Promise<PrepareResult> {
    const results = await Promise.all(this.#threads.map((thread) => thread.prepare(candidate)));
    const refused = results.find(({ ok }) => !ok);
    if (refused !== undefined) return refused;
    this.#prepared.set(candidate.hash, candidate);
    return { ok: true, buildMs: Math.max(...results.map((result) => (result.ok ? result.buildMs : 0))) };
  }

  async swap(hash: string, version: Version): Promise<{ readonly warming: readonly string[] }> {
    const candidate = this.#prepared.get(hash);
    if (candidate === undefined) throw new Error(`snapshot ${hash} is not prepared`);
    // From here on a thread that is replaced starts with the new one.
    this.#prepared.delete(hash);
    this.#current = candidate;
    this.#version = version;
    const results = await Promise.all(this.#threads.map(async (thread) => {
      const result = await thread.ask({ op: 'swap', hash, version });
      thread.swapped(candidate);
      return result;
    }));
    return { warming: [...new Set(results.flatMap(({ warming }) => warming))] };
  }

  discard(hash: string): void {
    this.#prepared.delete(hash);
    for (const thread of this.#threads) thread.discard(hash);
  }

  relabel(version: Version): void {
    this.#version = version;
    for (const thread of this.#threads) thread.tell({ op: 'relabel', version });
  }

  async applyEndpoints(update: EndpointUpdate): Promise<void> {
    for (const bytes of update.sets) this.#endpoints.set(serviceOf(bytes), bytes);
    for (const service of update.removed) this.#endpoints.delete(service);
    await Promise.all(this.#threads.map((thread) => thread.ask({ op: 'endpoints', update })));
  }

  async explainRequest(question: RequestQuestion): Promise<object> {
    return (this.#threads[0] as DataThread).ask({ op: 'explain', question });
  }

  async describe(): Promise<object> {
    return { threads: await Promise.all(this.#threads.map((thread) => thread.ask({ op: 'describe' }))) };
  }

  async drain(deadlineMs: number): Promise<{ readonly cut: number }> {
    const cut = await Promise.all(this.#threads.map((thread) => thread.ask({ op: 'drain', deadlineMs })));
    return { cut: cut.reduce((sum, count) => sum + count, 0) };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }

  onRefusal(handler: (refusal: RefusalRecord) => void): void {
    this.#onRefusal = handler;
  }

  onWorkerDeath(handler: (worker: number, cause: string) => void): void {
    this.#onDeath = handler;
  }

  readSeries(): readonly SeriesReading[] {
    return this.#sums.read();
  }

  takeStallMs(): number {
    return Math.max(0, ...this.#threads.map((thread) => thread.takeStallMs()));
  }
}

/** The service that an encoded set is for. */
function serviceOf(bytes: Uint8Array): string {
  const decoded = decodeEndpointSet(bytes);
  return decoded.ok ? decoded.set.service : '';
}
