import type { Clock } from '@remora/core/clock';
import type { AppendInput, DocumentChange, Store } from '../store.ts';

/** A clock that only moves when told. */
export interface SetClock extends Clock {
  nowMs: number;
}

export function setClock(nowMs = 1_800_000_000_000): SetClock {
  return { nowMs, wallMs() { return this.nowMs; }, monotonicMs() { return this.nowMs; } };
}

export function change(key: DocumentChange['key'], before: number | null, after: number | null, owner = ''): DocumentChange {
  return { key, before: before === null ? null : { v: before }, after: after === null ? null : { v: after }, ownerBefore: before === null ? '' : owner, ownerAfter: owner };
}

export async function append(store: Store, changes: readonly DocumentChange[], more: Partial<AppendInput> = {}): Promise<number> {
  const result = await store.append({ expectedHead: store.head(), author: 'ana', message: '', kind: 'documents', changes, grants: [], ...more });
  if (result.kind !== 'appended') throw new Error(result.kind);
  return result.entry.version.index;
}
