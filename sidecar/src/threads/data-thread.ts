import { Worker } from 'node:worker_threads';
import type { Candidate } from '@remora/snapshot/candidate';
import type { QuestionHandler } from '@remora/policy-kit/questions';
import type { PrepareResult } from './data-plane.ts';
import type { HealthReport } from '../records/health-batch.ts';
import type { RefusalReport } from '../records/refusal-batch.ts';
import { packResources, type PackedEntry, type ResourcePack } from '../generation/resource-pack.ts';
import { seriesBytes, type SeriesName } from '../records/series-rows.ts';
import type { SeriesSource } from '../records/series-sums.ts';
import type { MemoryGrant, MemoryWish } from '../generation/shared-memories.ts';
import { ownBytes } from './own-bytes.ts';
import { toldId, type FromWorker, type ToWorker, type WorkerAnswers, type WorkerRequest, type WorkerStart } from './worker-messages.ts';

export interface DataThreadEvents {
  onRefusals(report: RefusalReport): void;
  onHealth(report: HealthReport): void;
  /** Memory that the thread wants to share with the others. */
  onMemory(wishes: readonly MemoryWish[]): readonly MemoryGrant[];
  /** A filter asks. */
  readonly onQuestion: QuestionHandler;
  /** Rows of routes that are gone: what they counted is to be kept now. */
  onSeriesReleased(rows: readonly number[]): void;
  /** Once, unless the thread was closed. */
  onDeath(cause: string): void;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** One data worker as the control thread sees it: requests with answers, and the resources it has. */
export class DataThread {
  readonly series: SeriesSource;
  readonly ready: Promise<void>;
  readonly #worker: Worker;
  readonly #events: DataThreadEvents;
  readonly #names: (SeriesName | null)[] = [];
  readonly #vitals: Float64Array;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #ended = false;
  #cause = '';
  /** Hashes that the worker keeps, by snapshot: the same rule as in worker-requests.ts. */
  #known = new Map<string, ReadonlySet<string>>();

  constructor(start: Omit<WorkerStart, 'seriesMemory' | 'vitalsMemory'>, events: DataThreadEvents) {
    this.#events = events;
    const seriesMemory = new SharedArrayBuffer(seriesBytes);
    const vitalsMemory = new SharedArrayBuffer(16);
    this.series = { values: new Float64Array(seriesMemory), names: this.#names };
    this.#vitals = new Float64Array(vitalsMemory);
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    this.#worker = new Worker(new URL('./data-worker.ts', import.meta.url), {
      workerData: { ...start, seriesMemory, vitalsMemory } satisfies WorkerStart,
      name: `remora-data-${start.index}`,
      resourceLimits: { maxOldGenerationSizeMb: oldSpaceMb, maxYoungGenerationSizeMb: youngSpaceMb },
    });
    this.#worker.on('message', (message: FromWorker) => {
      if (message.kind === 'ready') ready.resolve();
      else this.#receive(message);
    });
    this.#worker.on('error', (error) => {
      this.#cause = error instanceof Error ? error.message : String(error);
    });
    this.#worker.on('exit', (code) => this.#exit(code, ready.reject));
  }

  #receive(message: Exclude<FromWorker, { kind: 'ready' }>): void {
    switch (message.kind) {
      case 'answer':
        this.#take(message.id)?.resolve(message.value);
        return;
      case 'failed':
        this.#take(message.id)?.reject(new Error(message.message));
        return;
      case 'refusals':
        this.#events.onRefusals(message.report);
        return;
      case 'health':
        this.#events.onHealth(message.report);
        return;
      case 'memory':
        this.tell({ op: 'memory', grants: this.#events.onMemory(message.wishes) });
        return;
      case 'question':
        void this.#answer(message.question, message.topic, message.body);
        return;
      case 'seriesReleased':
        this.#events.onSeriesReleased(message.rows);
        for (const row of message.rows) this.#names[row] = null;
        this.tell({ op: 'reuseSeries', rows: message.rows });
        return;
      case 'series':
        message.names.forEach((name, i) => {
          this.#names[message.from + i] = name;
        });
    }
  }

  async #answer(question: number, topic: string, asked: Uint8Array): Promise<void> {
    // What fails is no answer: the filter refuses, and whoever failed has said why.
    const body = await this.#events.onQuestion(topic, asked).catch(() => null);
    this.tell({ op: 'answer', question, body: body === null ? null : ownBytes(body) });
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  #exit(code: number, rejectReady: (error: Error) => void): void {
    const cause = this.#cause === '' ? `the data thread ended with code ${code}` : this.#cause;
    const error = new Error(cause);
    rejectReady(error);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    if (this.#ended) return;
    this.#ended = true;
    this.#events.onDeath(cause);
  }

  /** Rejects with what the worker says, or when it dies. */
  ask<R extends WorkerRequest>(request: R): Promise<WorkerAnswers[R['op']]> {
    if (this.#ended) return Promise.reject(new Error('the data thread is gone'));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#send({ id, request });
    });
  }

  /** Without waiting; a dead thread needs no word. */
  tell(request: WorkerRequest): void {
    if (!this.#ended) this.#send({ id: toldId, request });
  }

  #send(message: ToWorker): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no origin
    this.#worker.postMessage(message);
  }

  async prepare(candidate: Candidate): Promise<PrepareResult> {
    const { subject, version, hash, resources } = candidate;
    const packs: ResourcePack[] = [];
    for (const pack of packResources(this.#partsOf(candidate))) {
      // The control thread has others to answer while it packs 50 MB.
      if (packs.length > 0) await turn();
      packs.push(pack);
    }
    const result = await this.ask({ op: 'prepare', candidate: { subject, version, hash, packs } });
    if (result.ok) this.#known.set(hash, new Set(resources.keys()));
    return result;
  }

  *#partsOf({ hash: name, manifest, resources }: Candidate): Generator<PackedEntry> {
    yield [name, manifest];
    for (const [hash, bytes] of resources) yield [hash, this.#has(hash) ? null : bytes];
  }

  #has(hash: string): boolean {
    for (const hashes of this.#known.values()) if (hashes.has(hash)) return true;
    return false;
  }

  swapped(candidate: Candidate): void {
    this.#known = new Map([[candidate.hash, this.#known.get(candidate.hash) ?? new Set()]]);
  }

  discard(hash: string): void {
    this.#known.delete(hash);
    this.tell({ op: 'discard', hash });
  }

  takeStallMs(): number {
    const stall = this.#vitals[0] ?? 0;
    this.#vitals[0] = 0;
    return stall;
  }

  get overloadStage(): number {
    return this.#vitals[1] ?? 0;
  }

  kill(cause: string): void {
    this.#cause = cause;
    void this.#worker.terminate();
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    const exited = new Promise((resolve) => {
      this.#worker.once('exit', resolve);
    });
    const closed = this.ask({ op: 'close' }).catch(() => null);
    this.#ended = true;
    await closed;
    await this.#worker.terminate();
    await exited;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A snapshot of 10^5 routes needs about 300 MB while it is built beside its predecessor. */
const oldSpaceMb = 1024;
/** What an exchange allocates dies with it: a small young generation stays in the processor's cache (32 MB cost 1 µs more per request and 20 MB). */
const youngSpaceMb = 8;
