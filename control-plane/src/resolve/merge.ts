import type { Json, JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import { shapeOf, taggedOption } from '@remora/model/schema-shape';
import type { z } from 'zod';

/** What one level writes into a section. */
export interface LayerInput<L> {
  readonly layer: L;
  readonly value: JsonObject;
}

/**
 * A merged value that remembers who set what. Objects are merged by field, records by key (null removes the inherited
 * entry), arrays and scalars replace, a tagged union is replaced whole when its tag changes.
 */
export type MergedNode<L> = MergedLeaf<L> | MergedMap<L>;

export interface MergedLeaf<L> {
  readonly kind: 'leaf';
  readonly value: Json;
  /** null: the kind's default. */
  readonly by: L | null;
  /** Who set it before and lost, strongest first. */
  readonly lost: readonly { readonly layer: L | null; readonly value: Json }[];
}

export interface MergedMap<L> {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, MergedNode<L>>;
  /** Entries of a record that a level removed: by whom. */
  readonly removed: ReadonlyMap<string, L>;
}

const emptyMap: MergedMap<never> = { kind: 'map', entries: new Map<string, never>(), removed: new Map<string, never>() };

/** Weak to strong over the section's schema, without defaults. */
export function mergeLayers<L>(schema: z.ZodType, layers: readonly LayerInput<L>[]): MergedMap<L> {
  let merged: MergedMap<L> = emptyMap;
  for (const { layer, value } of layers) merged = mergeObject(schema, merged, value, layer);
  return merged;
}

function mergeNode<L>(schema: z.ZodType, below: MergedNode<L> | undefined, value: Json, layer: L): MergedNode<L> {
  const shape = shapeOf(schema);
  const map = value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as JsonObject) : null;
  if (map !== null) {
    const onto = below?.kind === 'map' ? below : undefined;
    if (shape.kind === 'object') return mergeObject(schema, onto ?? emptyMap, map, layer);
    if (shape.kind === 'record') return mergeRecord(shape.value, onto ?? emptyMap, map, layer);
    if (shape.kind === 'tagged') return mergeTagged(shape, onto, map, layer);
  }
  return { kind: 'leaf', value, by: layer, lost: below === undefined ? [] : lostTo(below) };
}

function mergeObject<L>(schema: z.ZodType, below: MergedMap<L>, value: JsonObject, layer: L): MergedMap<L> {
  const shape = shapeOf(schema);
  const entries = new Map(below.entries);
  for (const [name, item] of Object.entries(value)) {
    const field = shape.kind === 'object' && Object.hasOwn(shape.fields, name) ? shape.fields[name] : undefined;
    if (field !== undefined) entries.set(name, mergeNode(field, entries.get(name), item, layer));
  }
  return { kind: 'map', entries, removed: below.removed };
}

function mergeRecord<L>(item: z.ZodType, below: MergedMap<L>, value: JsonObject, layer: L): MergedMap<L> {
  const entries = new Map(below.entries);
  const removed = new Map(below.removed);
  for (const [key, entry] of Object.entries(value)) {
    if (entry === null) {
      if (entries.delete(key)) removed.set(key, layer);
      continue;
    }
    removed.delete(key);
    entries.set(key, mergeNode(item, entries.get(key), entry, layer));
  }
  return { kind: 'map', entries, removed };
}

function mergeTagged<L>(shape: Extract<ReturnType<typeof shapeOf>, { kind: 'tagged' }>, below: MergedMap<L> | undefined, value: JsonObject, layer: L): MergedMap<L> {
  const option = taggedOption(shape, value[shape.tag]);
  const before = below?.entries.get(shape.tag);
  const same = before?.kind === 'leaf' && before.value === value[shape.tag];
  return option === null ? emptyMap : mergeObject(option, same && below ? below : emptyMap, value, layer);
}

function lostTo<L>(below: MergedNode<L>): MergedLeaf<L>['lost'] {
  if (below.kind === 'leaf') return [{ layer: below.by, value: below.value }, ...below.lost];
  return [];
}

/** Fills in what no level set: the kind's defaults, then those of each entry of its named maps. */
export function fillDefaults<L>(schema: z.ZodType, merged: MergedMap<L>, defaults: JsonObject, entryDefaults: Readonly<Record<string, JsonObject>>): MergedMap<L> {
  const filled = fillMap(schema, merged, defaults);
  let result: MergedMap<L> = filled;
  for (const [pattern, values] of Object.entries(entryDefaults)) result = fillEntries(schema, result, pattern.split('/').slice(1), values);
  return result;
}

function fillMap<L>(schema: z.ZodType, merged: MergedMap<L>, defaults: JsonObject): MergedMap<L> {
  const shape = fieldsFor(schema, merged, defaults);
  if (shape === null) return merged;
  const entries = new Map(merged.entries);
  for (const [name, value] of Object.entries(defaults)) {
    const field = shape[name];
    if (field === undefined) continue;
    const present = entries.get(name);
    const map = value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as JsonObject) : null;
    if (present === undefined) entries.set(name, map === null ? { kind: 'leaf', value, by: null, lost: [] } : fillMap(field, emptyMap, map));
    else if (present.kind === 'map' && map !== null) entries.set(name, fillMap(field, present, map));
    else if (present.kind === 'leaf' && map === null) entries.set(name, { ...present, lost: [...present.lost, { layer: null, value }] });
  }
  return { kind: 'map', entries, removed: merged.removed };
}

/** Types of the fields that defaults may fill: of the object, of the union's option where the tags agree; none of a record's. */
function fieldsFor<L>(schema: z.ZodType, merged: MergedMap<L>, defaults: JsonObject): Readonly<Record<string, z.ZodType>> | null {
  const shape = shapeOf(schema);
  if (shape.kind === 'object') return shape.fields;
  if (shape.kind === 'record') return Object.fromEntries(Object.keys(defaults).map((key) => [key, shape.value]));
  if (shape.kind !== 'tagged') return null;
  const tag = merged.entries.get(shape.tag);
  const wanted = defaults[shape.tag];
  if (tag?.kind === 'leaf' && wanted !== undefined && tag.value !== wanted) return null;
  const option = taggedOption(shape, tag?.kind === 'leaf' ? tag.value : wanted);
  const fields = option === null ? null : shapeOf(option);
  return fields?.kind === 'object' ? fields.fields : null;
}

function fillEntries<L>(schema: z.ZodType, merged: MergedMap<L>, path: readonly string[], values: JsonObject): MergedMap<L> {
  const [segment, ...rest] = path;
  if (segment === undefined) return fillMap(schema, merged, values);
  const shape = shapeOf(schema);
  const entries = new Map(merged.entries);
  for (const [name, node] of merged.entries) {
    if (node.kind !== 'map' || (segment !== '*' && segment !== name)) continue;
    const inner = shape.kind === 'record' ? shape.value : shape.kind === 'object' && Object.hasOwn(shape.fields, name) ? shape.fields[name] : undefined;
    if (inner !== undefined) entries.set(name, fillEntries(inner, node, rest, values));
  }
  return { kind: 'map', entries, removed: merged.removed };
}

/** The plain value: sorted keys, no prototype. */
export function valueOf<L>(node: MergedNode<L>): Json {
  if (node.kind === 'leaf') return node.value;
  const made: Record<string, Json> = Object.create(null);
  for (const name of [...node.entries.keys()].sort()) {
    const entry = node.entries.get(name);
    if (entry) made[name] = valueOf(entry);
  }
  return made;
}

/** Every leaf with its pointer, sorted by key at each level. */
export function* leavesOf<L>(node: MergedNode<L>, pointer = ''): Generator<{ readonly pointer: string; readonly leaf: MergedLeaf<L> }> {
  if (node.kind === 'leaf') {
    yield { pointer, leaf: node };
    return;
  }
  for (const name of [...node.entries.keys()].sort()) {
    const entry = node.entries.get(name);
    if (entry) yield* leavesOf(entry, joinPointer(pointer, name));
  }
}

/** What stands at a path; undefined where nothing does. */
export function nodeAt<L>(node: MergedNode<L>, path: readonly string[]): MergedNode<L> | undefined {
  let at: MergedNode<L> | undefined = node;
  for (const segment of path) at = at?.kind === 'map' ? at.entries.get(segment) : undefined;
  return at;
}

/** Pointers that one level's section writes: leaves, whole lists, removed entries. */
export function* writtenPointers(schema: z.ZodType, value: Json, pointer = ''): Generator<{ readonly pointer: string; readonly value: Json; readonly tag: boolean }> {
  const map = value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as JsonObject) : null;
  const shape = shapeOf(schema);
  if (map === null || (shape.kind !== 'object' && shape.kind !== 'record' && shape.kind !== 'tagged')) {
    yield { pointer, value, tag: false };
    return;
  }
  const option = shape.kind === 'tagged' ? taggedOption(shape, map[shape.tag]) : null;
  for (const [name, item] of Object.entries(map)) {
    const inner = innerType(shape, option, name);
    const below = joinPointer(pointer, name);
    if (shape.kind === 'tagged' && name === shape.tag) yield { pointer: below, value: item, tag: true };
    else if (inner === undefined) yield { pointer: below, value: item, tag: false };
    else yield* writtenPointers(inner, item, below);
  }
}

function innerType(shape: ReturnType<typeof shapeOf>, option: z.ZodType | null, name: string): z.ZodType | undefined {
  if (shape.kind === 'record') return shape.value;
  const fields = shape.kind === 'object' ? shape : option === null ? null : shapeOf(option);
  return fields?.kind === 'object' && Object.hasOwn(fields.fields, name) ? fields.fields[name] : undefined;
}
