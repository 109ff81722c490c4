import type { JsonObject } from '@remora/core/canonical-json';
import { noVersion } from '@remora/core/version';
import type { RefusalStatus } from './push-hub.ts';
import type { RecordStore, RecordWriter, WrittenRecords } from './record-writer.ts';

const namespace = 'refusals';

/**
 * Which manifests which builds have refused as invalid: never sent to them again, also after a restart. Bounded; the
 * refusals that were learnt first go first, and would be learnt again.
 */
export class RefusalMemory {
  readonly #written: WrittenRecords;
  readonly #max: number;
  readonly #refusals = new Map<string, RefusalStatus | null>();

  constructor(deps: { readonly store: RecordStore; readonly writer: RecordWriter; readonly max: number }) {
    this.#written = deps.writer.records(namespace, (key) => this.#read(key));
    this.#max = deps.max;
    for (const [key, record] of deps.store.records(namespace)) this.#refusals.set(key, readRefusal(record));
    this.#evict();
  }

  /** Null where that build has not refused it. Where only Hello told of it, the reason is that it was refused before. */
  get(buildId: string, hash: string): RefusalStatus | null {
    if (this.#refusals.size === 0) return null;
    const refusal = this.#refusals.get(keyOf(buildId, hash));
    return refusal === undefined ? null : refusal ?? refusedBefore(hash);
  }

  /** `refusal` null: known from Hello only; never replaces what the build said in full. */
  remember(buildId: string, hash: string, refusal: RefusalStatus | null): void {
    const key = keyOf(buildId, hash);
    if (refusal === null && this.#refusals.has(key)) return;
    this.#refusals.delete(key);
    this.#refusals.set(key, refusal);
    this.#written.put(key);
    this.#evict();
  }

  #read(key: string): JsonObject | null {
    const refusal = this.#refusals.get(key);
    return refusal === undefined ? null : ((refusal ?? {}) as unknown as JsonObject);
  }

  #evict(): void {
    for (const key of this.#refusals.keys()) {
      if (this.#refusals.size <= this.#max) return;
      this.#refusals.delete(key);
      this.#written.put(key);
    }
  }
}

function refusedBefore(hash: string): RefusalStatus {
  const error = { resource: 'manifest', kind: '', pointer: '', code: 'refused-before', message: 'This build refused this content before, at another control plane or before its memory was lost.', policies: [] };
  return { version: noVersion, hash, at: new Date(0).toISOString(), lane: 'config', class: 'invalid', errors: [error] };
}

/** Shapes are our own: a record that has none is one that only Hello told of. */
export function readRefusal(record: JsonObject): RefusalStatus | null {
  return typeof record['hash'] === 'string' && Array.isArray(record['errors']) ? (record as unknown as RefusalStatus) : null;
}

function keyOf(buildId: string, hash: string): string {
  return `${buildId}/${hash}`;
}
