import { canonicalJson } from '@remora/core/canonical-json';
import type { Json, JsonObject } from '@remora/core/canonical-json';
import { parsePointer } from '@remora/core/pointer';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { diffFields, diffOf } from './document-diff.ts';
import type { FieldChange } from './document-diff.ts';

const json = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof({ maxDepth: 4, withCrossShrink: true },
    fc.constantFrom<Json>(null, true, 0, 1, '', 'a'),
    fc.array(tie('value'), { maxLength: 3 }) as fc.Arbitrary<Json>,
    fc.dictionary(fc.constantFrom('a', 'b', 'a/b', '~', '__proto__', 'kind'), tie('value'), { maxKeys: 4, noNullPrototype: false }) as fc.Arbitrary<Json>),
})).value;
const document = fc.dictionary(fc.constantFrom('a', 'b', '__proto__', 'c~d'), json, { maxKeys: 4 }) as fc.Arbitrary<JsonObject>;

/** Does what the difference says. */
function patch(before: JsonObject, changes: readonly FieldChange[]): JsonObject {
  let whole = structuredClone(before) as Record<string, Json>;
  for (const { pointer, after } of changes) {
    const segments = parsePointer(pointer) ?? [];
    whole = withValue(whole, segments, after) as Record<string, Json>;
  }
  return whole;
}

function withValue(value: Json, [segment, ...rest]: readonly string[], after: Json | undefined): Json {
  if (segment === undefined) return after ?? null;
  const entries = Object.entries(value as JsonObject).filter(([key]) => key !== segment);
  const inside = Object.hasOwn(value as JsonObject, segment) ? ((value as JsonObject)[segment] ?? {}) : {};
  const changed: [string, Json][] = rest.length > 0 ? [[segment, withValue(inside, rest, after)]] : after === undefined ? [] : [[segment, after]];
  return Object.fromEntries([...entries, ...changed]);
}

describe('differences of documents', () => {
  test('doing what the difference says makes the one of the other', () => {
    fc.assert(fc.property(document, document, (before, after) => {
      expect(canonicalJson(patch(before, diffFields(before, after)))).toBe(canonicalJson(after));
    }));
  });

  test('equal documents do not differ, however they are written', () => {
    fc.assert(fc.property(document, (one) => {
      expect(diffFields(one, JSON.parse(canonicalJson(one)) as JsonObject)).toEqual([]);
    }));
  });

  test('null is a value, lists are whole, and what was not there has no before', () => {
    expect(diffFields({ a: { b: null, c: [1, 2] } }, { a: { b: 1, c: [1, 3], d: null } })).toEqual([
      { pointer: '/a/b', before: null, after: 1 }, { pointer: '/a/c', before: [1, 2], after: [1, 3] }, { pointer: '/a/d', after: null },
    ]);
  });

  test('created and deleted documents show their fields without kind and name', () => {
    const change = { key: 'Policy/p', before: null, after: { kind: 'Policy', name: 'p', target: {} }, ownerBefore: '', ownerAfter: 'x' } as const;
    expect(diffOf(change)).toEqual({ document: 'Policy/p', action: 'created', fields: [{ pointer: '/target', after: {} }] });
    expect(diffOf({ ...change, before: change.after, after: null })).toEqual({ document: 'Policy/p', action: 'deleted', fields: [{ pointer: '/target', before: {} }] });
  });
});
