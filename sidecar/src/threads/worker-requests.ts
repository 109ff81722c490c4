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
    const resources = await this.#collect(parts);
    const candidate: Candidate = { subject: parts.subject, version: parts.version, hash: parts.hash, manifest: parts.manifest, resources };
    this.#reached.set(parts.hash, resources);
    const result = await this.#thread.prepare(candidate, true);
    if (!result.ok) this.#forget(parts.hash);
    return result;
  }

  /** A snapshot that will not be current. */
  #forget(hash: string): void {
    if (hash !== this.#current) this.#reached.delete(hash);
  }

  async #collect(parts: CandidateParts): Promise<Map<string, Uint8Array>> {
    const sent = new Map<string, Uint8Array>();
    let work = 0;
    for (const pack of parts.packs) {
      for (const [hash, bytes] of unpackResources(pack)) {
        sent.set(hash, bytes);
        if (++work % entriesPerSlice === 0) await turn();
      }
    }
    const hashes = Buffer.from(parts.hashes);
    const resources = new Map<string, Uint8Array>();
    for (let at = 0; at < hashes.length; at += 32) {
      const hash = hashes.toString('hex', at, at + 32);
      const bytes = sent.get(hash) ?? this.#find(hash);
      // What is missing is reported by the decoding, with its name.
      if (bytes !== undefined) resources.set(hash, bytes);
      if (++work % entriesPerSlice === 0) await turn();
    }
    return resources;
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
