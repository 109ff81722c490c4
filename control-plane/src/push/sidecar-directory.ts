import type { JsonObject } from '@remora/core/canonical-json';
import type { SidecarStatus } from './push-hub.ts';
import type { RecordStore, RecordWriter, WrittenRecords } from './record-writer.ts';
import { disconnectedStatus } from './sidecar-status.ts';

const namespace = 'sidecars';

/**
 * What is remembered of sidecars that are not connected, over restarts: their last status. Bounded in number and age; a
 * sidecar that is connected is kept by its session, and only written here.
 */
export class SidecarDirectory {
  readonly #written: WrittenRecords;
  readonly #writtenIdly: WrittenRecords;
  readonly #current: (nodeId: string) => SidecarStatus | null;
  readonly #max: number;
  readonly #maxAgeMs: number;
  /** In the order in which they went. */
  readonly #offline = new Map<string, SidecarStatus>();

  /** `current` answers the status of a connected sidecar. */
  constructor(deps: {
    readonly store: RecordStore; readonly writer: RecordWriter; readonly idleWriter: RecordWriter; readonly max: number; readonly maxAgeMs: number;
    readonly current: (nodeId: string) => SidecarStatus | null;
  }) {
    this.#current = deps.current;
    this.#written = deps.writer.records(namespace, (nodeId) => this.#read(nodeId));
    this.#writtenIdly = deps.idleWriter.records(namespace, (nodeId) => this.#read(nodeId));
    this.#max = deps.max;
    this.#maxAgeMs = deps.maxAgeMs;
    const records: unknown[] = [...deps.store.records(namespace).values()];
    const remembered = records.filter(isStatus);
    for (const status of remembered.sort((a, b) => (a.lastSeen < b.lastSeen ? -1 : 1))) {
      // One that an earlier version wrote does not say which roots it held.
      if (typeof status.trustBundle !== 'string') Object.assign(status, { trustBundle: '', certificate: '' });
      this.#offline.set(status.nodeId, status.connected ? disconnectedStatus(status, Date.parse(status.lastSeen)) : status);
    }
  }

  get(nodeId: string): SidecarStatus | null {
    return this.#offline.get(nodeId) ?? null;
  }

  all(): IterableIterator<SidecarStatus> {
    return this.#offline.values();
  }

  /** It is connected now: its session knows its status. */
  connected(nodeId: string): void {
    this.#offline.delete(nodeId);
    this.#written.put(nodeId);
  }

  /** Something that an operator looks for: a refusal, or that it leaves. */
  changed(nodeId: string): void {
    this.#written.put(nodeId);
  }

  /** It applied what it should, as every sidecar does with every push. */
  advanced(nodeId: string): void {
    this.#writtenIdly.put(nodeId);
  }

  disconnected(status: SidecarStatus): void {
    this.#offline.delete(status.nodeId);
    this.#offline.set(status.nodeId, status);
    this.#written.put(status.nodeId);
  }

  /** Forgets the ones that went longest ago, beyond the bounds. */
  forget(nowMs: number): void {
    for (const [nodeId, status] of this.#offline) {
      if (this.#offline.size <= this.#max && nowMs - Date.parse(status.lastSeen) <= this.#maxAgeMs) return;
      this.#offline.delete(nodeId);
      this.#written.put(nodeId);
    }
  }

  #read(nodeId: string): JsonObject | null {
    return (this.#current(nodeId) ?? this.#offline.get(nodeId) ?? null) as unknown as JsonObject | null;
  }
}

/** Records are written by this class; one of another shape (a later version's) is not shown. */
function isStatus(record: unknown): record is SidecarStatus {
  if (typeof record !== 'object' || record === null) return false;
  const { nodeId, subject, config, state, lastSeen } = record as Partial<SidecarStatus>;
  return typeof nodeId === 'string' && typeof subject === 'string' && typeof lastSeen === 'string' && typeof config === 'object' && typeof state === 'object';
}
