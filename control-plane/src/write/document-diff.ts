import { canonicalJson } from '@remora/core/canonical-json';
import type { Json, JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { DocumentChange } from '../store/store.ts';

/** One field in which two documents differ. */
export interface FieldChange {
  /** JSON pointer into the document. */
  readonly pointer: string;
  /** Absent: the field was not set. */
  readonly before?: Json;
  /** Absent: the field is not set any more. */
  readonly after?: Json;
}

/** What a change means, field by field: maps are compared by key, lists and scalars as whole values. */
export interface DocumentDiff {
  readonly document: string;
  readonly action: 'created' | 'updated' | 'deleted';
  readonly fields: readonly FieldChange[];
  /** Set where the owner set changes. */
  readonly owner?: { readonly before: string; readonly after: string };
}

export function diffOf(change: DocumentChange): DocumentDiff {
  const action = change.before === null ? 'created' : change.after === null ? 'deleted' : 'updated';
  const ownerMoved = action === 'updated' && change.ownerBefore !== change.ownerAfter;
  return {
    document: change.key,
    action,
    fields: diffFields(change.before, change.after),
    ...(ownerMoved ? { owner: { before: change.ownerBefore, after: change.ownerAfter } } : {}),
  };
}

/** Differences of two values, in the order of their keys. */
export function diffFields(before: Json | null, after: Json | null, pointer = ''): FieldChange[] {
  if (before === null || after === null) return before === after ? [] : diffTopLevel(before, after, pointer);
  if (!isMap(before) || !isMap(after)) return sameJson(before, after) ? [] : [{ pointer, before, after }];
  const changes: FieldChange[] = [];
  for (const key of [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()) {
    const inside = joinPointer(pointer, key);
    const [old, next] = [ownValue(before, key), ownValue(after, key)];
    if (old === undefined && next !== undefined) changes.push({ pointer: inside, after: next });
    else if (next === undefined && old !== undefined) changes.push({ pointer: inside, before: old });
    else if (old !== undefined && next !== undefined) changes.push(...diffNested(old, next, inside));
  }
  return changes;
}

/** Inside a document null is a value (it removes an inherited entry), not absence. */
function diffNested(before: Json, after: Json, pointer: string): FieldChange[] {
  if (before === null || after === null) return before === after ? [] : [{ pointer, before, after }];
  return diffFields(before, after, pointer);
}

function diffTopLevel(before: Json | null, after: Json | null, pointer: string): FieldChange[] {
  const whole = before ?? after;
  if (!isMap(whole)) return [{ pointer, ...(before === null ? {} : { before }), ...(after === null ? {} : { after }) }];
  return Object.keys(whole).sort().flatMap((key) => {
    const value = ownValue(whole, key);
    if (value === undefined || (pointer === '' && (key === 'kind' || key === 'name'))) return [];
    return [{ pointer: joinPointer(pointer, key), ...(before === null ? { after: value } : { before: value }) }];
  });
}

function isMap(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function ownValue(map: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

function sameJson(a: Json, b: Json): boolean {
  return a === b || canonicalJson(a) === canonicalJson(b);
}
