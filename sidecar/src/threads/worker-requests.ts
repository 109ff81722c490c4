import type { DataPlaneThread } from './data-plane-thread.ts';
import { decideRequest } from '../pipeline/decide-request.ts';
import { explainRequest } from '../pipeline/explain-request.ts';
import { unpackResources, type ResourcePack } from '../generation/resource-pack.ts';
import type { SharedMemories } from '../generation/shared-memories.ts';
import type { ThreadQuestions } from './thread-questions.ts';
import { KeptParts, SnapshotParts } from './kept-parts.ts';
import type { CandidateParts, WorkerAnswers, WorkerRequest } from './worker-messages.ts';

/**
 * Answers the control thread's requests, and keeps what snapshots were decoded into (kept-parts.ts). Nothing here walks over a snapshot without pausing.
 */
export class WorkerRequests {
  readonly #thread: DataPlaneThread;
  readonly #flush: () => void;
  readonly #memories: SharedMemories | null;
  readonly #questions: ThreadQuestions;
  readonly #kept = new KeptParts();

  constructor(thread: DataPlaneThread, flush: () => void, memories: SharedMemories | null, questions: ThreadQuestions) {
    this.#thread = thread;
    this.#questions = questions;
    this.#flush = flush;
    this.#memories = memories;
  }

  async answer(request: WorkerRequest): Promise<WorkerAnswers[WorkerRequest['op']]> {
    const thread = this.#thread;
    switch (request.op) {
      case 'listen':
        return thread.listen(request.specs);
      case 'prepare':
        return this.#prepare(request.candidate);
      case 'swap': {
        const { warming, memories } = thread.swap(request.hash, request.version);
        this.#kept.swapped(request.hash);
        return { warming, memories };
      }
      case 'discard':
        thread.discard(request.hash);
        this.#kept.forget(request.hash);
        return null;
      case 'relabel':
        thread.relabel(request.version);
        return null;
      case 'endpoints':
        thread.applyEndpoints(request.update);
        return null;
      case 'tls':
        thread.useTlsMaterial(request.material);
        return null;
      case 'facts':
        thread.useFacts(request.update);
        return null;
      case 'answer':
        this.#questions.answer(request.question, request.body);
        return null;
      case 'explain':
        if (request.question.as !== undefined) return decideRequest(thread.engine.generation, thread.filterHost, request.question);
        return explainRequest(thread.engine.generation, request.question);
      case 'tap':
        return thread.engine.tap(request.ask);
      case 'sweepTaps':
        thread.engine.sweepTaps();
        return null;
      case 'describe':
        return thread.describe();
      case 'drain':
        return thread.drain(request.deadlineMs);
      case 'close':
        thread.close();
        this.#flush();
        return null;
      case 'reuseSeries':
        thread.series.reuse(request.rows);
        return null;
      case 'memory':
        this.#memories?.grant(request.grants);
        return null;
      case 'flush':
        this.#flush();
        return null;
    }
  }

  async #prepare({ subject, version, hash, packs }: CandidateParts): Promise<WorkerAnswers['prepare']> {
    const { manifest, parts } = await this.#collect(hash, packs);
    const result = await this.#thread.prepare({ subject, version, hash, manifest, resources: parts.resources }, { hashesVerified: true, decoded: parts.decoded });
    if (result.ok) parts.settle();
    else this.#kept.forget(hash);
    return result;
  }

  async #collect(snapshot: string, packs: readonly ResourcePack[]): Promise<{ readonly manifest: Uint8Array; readonly parts: SnapshotParts }> {
    let manifest: Uint8Array | null = null;
    const parts = new SnapshotParts();
    let work = 0;
    for (const pack of packs) {
      for (const [hash, sent] of unpackResources(pack)) {
        const part = sent ?? this.#kept.find(hash);
        if (manifest === null) manifest = sent;
        // What is missing is reported by the decoding, with its name.
        else if (part !== undefined) parts.add(hash, part);
        if (++work % entriesPerSlice === 0) await turn();
      }
    }
    this.#kept.keep(snapshot, parts);
    return { manifest: manifest ?? new Uint8Array(0), parts };
  }
}

/** About 2 ms of work. */
const entriesPerSlice = 2048;

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
