import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock } from '@remora/core/clock';
import type { Store } from '../store/store.ts';

/** What was issued to one instance last. */
export interface NodeRecord {
  readonly nodeId: string;
  /** `service/orders`. */
  readonly subject: string;
  /** Of the newest certificate, and of the one before it, whose successor may have been lost on its way. */
  readonly serials: readonly string[];
  readonly issuedMs: number;
  readonly endsMs: number;
  /** Until then the instance can come back with a certificate that ended. */
  readonly recoverUntilMs: number;
  readonly how: 'join' | 'renew' | 'recover';
  /** Join token it came with first. */
  readonly token: string;
  /** SHA-256 (hex) of the root that the newest certificate leads to; '' where an earlier version issued it. */
  readonly issuer: string;
}

const namespace = 'identity.nodes';
export const nodesMax = 50_000;

/**
 * The record of issued certificates, one entry per instance. Bounded: an instance is forgotten when it could not come back any
 * more; when there are too many nobody new is taken.
 */
export class NodeRecords {
  readonly #store: Pick<Store, 'records' | 'putRecords'>;
  readonly #clock: Clock;
  readonly #max: number;
  readonly #nodes = new Map<string, NodeRecord>();

  constructor(deps: { readonly store: Pick<Store, 'records' | 'putRecords'>; readonly clock: Clock; readonly max?: number }) {
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#max = deps.max ?? nodesMax;
    for (const [nodeId, record] of deps.store.records(namespace)) {
      const node = readNode(nodeId, record);
      if (node) this.#nodes.set(nodeId, node);
    }
  }

  get size(): number {
    return this.#nodes.size;
  }

  find(nodeId: string): NodeRecord | null {
    const node = this.#nodes.get(nodeId);
    return node && node.recoverUntilMs > this.#clock.wallMs() ? node : null;
  }

  /** By node id. */
  list(): readonly NodeRecord[] {
    const nowMs = this.#clock.wallMs();
    return [...this.#nodes.values()].filter(({ recoverUntilMs }) => recoverUntilMs > nowMs).sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  }

  hasRoomFor(nodeId: string): boolean {
    if (this.#nodes.has(nodeId) || this.#nodes.size < this.#max) return true;
    this.#sweep();
    return this.#nodes.size < this.#max;
  }

  put({ nodeId, ...facts }: NodeRecord): void {
    this.#nodes.set(nodeId, { nodeId, ...facts });
    this.#store.putRecords(namespace, new Map([[nodeId, { ...facts }]]));
  }

  #sweep(): void {
    const nowMs = this.#clock.wallMs();
    const gone = [...this.#nodes.values()].filter(({ recoverUntilMs }) => recoverUntilMs <= nowMs);
    for (const { nodeId } of gone) this.#nodes.delete(nodeId);
    if (gone.length > 0) this.#store.putRecords(namespace, new Map(gone.map(({ nodeId }) => [nodeId, null])));
  }
}

function readNode(nodeId: string, record: JsonObject): NodeRecord | null {
  const { subject, serials, issuedMs, endsMs, recoverUntilMs, how, token, issuer } = record;
  if (typeof subject !== 'string' || !Array.isArray(serials) || typeof issuedMs !== 'number' || typeof endsMs !== 'number' || typeof recoverUntilMs !== 'number') return null;
  const known = how === 'renew' || how === 'recover' ? how : 'join';
  return { nodeId, subject, serials: serials.filter((one): one is string => typeof one === 'string'), issuedMs, endsMs, recoverUntilMs, how: known, token: typeof token === 'string' ? token : '', issuer: typeof issuer === 'string' ? issuer : '' };
}
