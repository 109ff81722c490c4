import type { RefusalQuery, StoredRefusal } from './telemetry-hub.ts';

interface Kept {
  readonly refusal: StoredRefusal;
  readonly atMs: number;
}

/**
 * The last refusals of each sidecar, found by request id too. Bounded per sidecar and in total; the oldest go first.
 */
export class RefusalStore {
  readonly #perNodeMax: number;
  readonly #max: number;
  /** In the order of arrival. */
  readonly #kept = new Map<number, Kept>();
  readonly #byNode = new Map<string, number[]>();
  readonly #byRequest = new Map<string, number[]>();
  #next = 0;

  constructor(options: { readonly perNodeMax: number; readonly max: number }) {
    this.#perNodeMax = options.perNodeMax;
    this.#max = options.max;
  }

  get size(): number {
    return this.#kept.size;
  }

  add(refusal: StoredRefusal): void {
    const id = this.#next++;
    this.#kept.set(id, { refusal, atMs: Date.parse(refusal.at) });
    append(this.#byNode, refusal.nodeId, id);
    append(this.#byRequest, refusal.requestId, id);
    const ofNode = this.#byNode.get(refusal.nodeId) ?? [];
    if (ofNode.length > this.#perNodeMax) this.#drop(ofNode[0]);
    if (this.#kept.size > this.#max) this.#drop(this.#kept.keys().next().value);
  }

  /** Newest first. */
  find(query: RefusalQuery): StoredRefusal[] {
    const found: StoredRefusal[] = [];
    const limit = Math.min(Math.max(0, query.limit), 1_000);
    const ids = this.#candidates(query);
    for (let i = ids.length - 1; i >= 0 && found.length < limit; i--) {
      const kept = this.#kept.get(ids[i] ?? -1);
      if (kept && matches(kept, query)) found.push(kept.refusal);
    }
    return found;
  }

  #candidates(query: RefusalQuery): readonly number[] {
    if (query.requestId !== undefined) return this.#byRequest.get(query.requestId) ?? [];
    if (query.nodeId !== undefined) return this.#byNode.get(query.nodeId) ?? [];
    return [...this.#kept.keys()];
  }

  #drop(id: number | undefined): void {
    const kept = id === undefined ? undefined : this.#kept.get(id);
    if (!kept || id === undefined) return;
    this.#kept.delete(id);
    remove(this.#byNode, kept.refusal.nodeId, id);
    remove(this.#byRequest, kept.refusal.requestId, id);
  }
}

function matches({ refusal, atMs }: Kept, query: RefusalQuery): boolean {
  return (query.requestId === undefined || refusal.requestId === query.requestId)
    && (query.nodeId === undefined || refusal.nodeId === query.nodeId)
    && (query.service === undefined || refusal.subject === `service/${query.service}`)
    && (query.gateway === undefined || refusal.subject === `gateway/${query.gateway}`)
    && (query.reason === undefined || refusal.reason === query.reason)
    && (query.policy === undefined || refusal.policy === query.policy)
    && (query.sinceMs === undefined || atMs >= query.sinceMs);
}

function append(index: Map<string, number[]>, key: string, id: number): void {
  const ids = index.get(key);
  if (ids) ids.push(id);
  else index.set(key, [id]);
}

function remove(index: Map<string, number[]>, key: string, id: number): void {
  const ids = index.get(key);
  if (!ids) return;
  // Almost always the first: the oldest goes first.
  const at = ids.indexOf(id);
  if (at >= 0) ids.splice(at, 1);
  if (ids.length === 0) index.delete(key);
}
