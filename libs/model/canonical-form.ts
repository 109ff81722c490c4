import { canonicalJson } from '@remora/core/canonical-json';
import type { Json, JsonObject } from '@remora/core/canonical-json';
import { formatDuration, parseDurationMs, parseRatio, parseSizeBytes } from '@remora/core/units';
import { notations } from '@remora/policy-kit/scalars';
import type { Notation } from '@remora/policy-kit/scalars';
import type { z } from 'zod';
import { shapeOf, taggedOption, unwrap } from './schema-shape.ts';

/** The same value with sorted keys and maps without prototype: what is stored. Units stay as written. */
export function canonicalForm<T extends Json>(value: T): T {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return (value as readonly Json[]).map(canonicalForm) as unknown as T;
  const object = value as JsonObject;
  const sorted: Record<string, Json> = Object.create(null);
  for (const key of Object.keys(object).sort()) {
    const item = object[key];
    if (item !== undefined) sorted[key] = canonicalForm(item);
  }
  return sorted as unknown as T;
}

/** Text that is equal for values that mean the same: key order and the spelling of units do not count. */
export function meaningOf(value: Json, schema: z.ZodType): string {
  return canonicalJson(normalise(value, schema));
}

/** What a value stands for: milliseconds, bytes or a share; null where its type has no such notation. */
export function magnitude(value: Json, notation: Notation): number | null {
  switch (notation) {
    case 'duration':
      return typeof value === 'string' ? parseDurationMs(value) : null;
    case 'size':
      return typeof value === 'string' ? parseSizeBytes(value) : null;
    case 'ratio':
      return typeof value === 'string' || typeof value === 'number' ? parseRatio(value) : null;
  }
}

export function notationOf(schema: z.ZodType): Notation | null {
  return notationMetaOf(schema)?.notation ?? null;
}

export function notationMetaOf(schema: z.ZodType): { readonly notation: Notation; readonly zeroMeans?: 'unlimited' } | undefined {
  return notations.get(schema) ?? notations.get(unwrap(schema));
}

function normalise(value: Json, schema: z.ZodType): Json {
  if (value === null) return value;
  const notation = notationOf(schema);
  if (notation !== null) return normaliseNotation(value, notation);
  const shape = shapeOf(schema);
  if (shape.kind === 'union') {
    const meant = shape.options.find((option) => option.safeParse(value).success);
    return meant === undefined ? value : normalise(value, meant);
  }
  if (typeof value !== 'object') return value;
  if (Array.isArray(value)) return shape.kind === 'array' ? (value as readonly Json[]).map((item) => normalise(item, shape.item)) : value;
  switch (shape.kind) {
    case 'object':
      return mapValues(value as JsonObject, (item, key) => (Object.hasOwn(shape.fields, key) ? normalise(item, shape.fields[key] as z.ZodType) : item));
    case 'record':
      return mapValues(value as JsonObject, (item) => normalise(item, shape.value));
    case 'tagged': {
      const option = taggedOption(shape, (value as JsonObject)[shape.tag]);
      return option === null ? value : normalise(value, option);
    }
    case 'array':
    case 'scalar':
      return value;
  }
}

function normaliseNotation(value: Json, notation: Notation): Json {
  const amount = magnitude(value, notation);
  if (amount === null) return value;
  return notation === 'duration' ? formatDuration(amount) : notation === 'size' ? `${amount}B` : amount;
}

function mapValues(object: JsonObject, change: (item: Json, key: string) => Json): JsonObject {
  const made: Record<string, Json> = Object.create(null);
  for (const [key, item] of Object.entries(object)) made[key] = change(item, key);
  return made;
}
