import type { Candidate } from '@remora/snapshot/candidate';
import type { DataPlaneThread } from './data-plane-thread.ts';
import { explainRequest } from '../pipeline/explain-request.ts';
import { unpackResources } from '../generation/resource-pack.ts';
import type { SharedMemories } from '../generation/shared-memories.ts';
import type { CandidateParts, WorkerAnswers, WorkerRequest } from './worker-messages.ts';

/**
 * Answers the control thread's requests. Keeps the bytes of resources by the snapshots that reach them: when a snapshot is neither current nor
 * prepared any more, what only it reached is gone with its map. Nothing here walks over a snapshot without pausing.
 */
export class WorkerRequests {
  readonly #thread: DataPlaneThread;
  readonly #flush: () => void;
  readonly #memories: SharedMemories | null;
  /** Resources by snapshot, prepared or current. */
  readonly #reached = new Map<string, ReadonlyMap<string, Uint8Array>>();
  #current = '';

  constructor(thread: DataPlaneThread, flush: () => void, memories: SharedMemories | null) {
    this.#thread = thread;
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
        this.#current = request.hash;
        for (const hash of this.#reached.keys()) if (hash !== request.hash) this.#reached.delete(hash);
        return { warming, memories };
      }
      case 'discard':
        thread.discard(request.hash);
        this.#forget(request.hash);
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
      case 'explain':
        return explainRequest(thread.engine.generation, request.question);
      case 'describe':
        return thread.describe();
      case 'drain':
        return thread.drain(request.deadlineMs);
      case 'close':
        thread.close();
        this.#flush();
        return null;
      case 'memory':
        this.#memories?.grant(request.grants);
        return null;
      case 'flush':
        this.#flush();
        return null;
    }
  }

  async #prepare(parts: CandidateParts): Promise<WorkerAnswers['prepare']> {
    const { subject, version, hash } = parts;
    const { manifest, resources } = await this.#collect(parts);
    const candidate: Candidate = { subject, version, hash, manifest, resources };
    this.#reached.set(hash, resources);
    const result = await this.#thread.prepare(candidate, true);
    if (!result.ok) this.#forget(hash);
    return result;
  }

  /** A snapshot that will not be current. */
  #forget(hash: string): void {
    if (hash !== this.#current) this.#reached.delete(hash);
  }

  async #collect(parts: CandidateParts): Promise<{ readonly manifest: Uint8Array; readonly resources: Map<string, Uint8Array> }> {
    let manifest: Uint8Array | null = null;
    const resources = new Map<string, Uint8Array>();
    let work = 0;
    for (const pack of parts.packs) {
      for (const [hash, sent] of unpackResources(pack)) {
        const bytes = sent ?? this.#find(hash);
        if (manifest === null) manifest = sent;
        // What is missing is reported by the decoding, with its name.
        else if (bytes !== undefined) resources.set(hash, bytes);
        if (++work % entriesPerSlice === 0) await turn();
      }
    }
    return { manifest: manifest ?? new Uint8Array(0), resources };
  }

  #find(hash: string): Uint8Array | undefined {
    for (const resources of this.#reached.values()) {
      const bytes = resources.get(hash);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }
}

/** About 2 ms of work. */
const entriesPerSlice = 2048;

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
