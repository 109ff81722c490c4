import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Json, JsonObject } from '@remora/core/canonical-json';
import { canonicalJson } from '@remora/core/canonical-json';
import { sampleKinds } from '@remora/testing/sample-kinds';
import { Ajv2020 } from 'ajv/dist/2020.js';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalForm } from './canonical-form.ts';
import { documentKinds } from './document-key.ts';
import { loadDocuments } from './load-documents.ts';
import { createModel } from './model.ts';

const model = createModel({ kinds: sampleKinds, checkRegex: () => null });
const valid = loadDocuments([{ name: 'everything', bytes: readFileSync(path.join(import.meta.dirname, 'testdata/valid/everything.yaml')) }]).documents.map(({ value }) => value);

function policy(sections: JsonObject): JsonObject {
  return { kind: 'Policy', name: 'p', target: {}, ...sections };
}

describe('canonicallyEqual', () => {
  test.each([
    ['durations', { timeout: { request: '90s' } }, { timeout: { request: '1m30s' } }, true],
    ['other durations', { timeout: { request: '90s' } }, { timeout: { request: '91s' } }, false],
    ['ratios', { retry: { budget: { ratio: 0.2 } } }, { retry: { budget: { ratio: '20%' } } }, true],
    ['sizes in a union', { requestLimits: { bodyBytes: '1MiB' } }, { requestLimits: { bodyBytes: '1024KiB' } }, true],
    ['words of a union', { requestLimits: { bodyBytes: 'unlimited' } }, { requestLimits: { bodyBytes: '1KiB' } }, false],
    ['durations in a tagged union', { fault: { action: { kind: 'delay', by: '1000ms' } } }, { fault: { action: { kind: 'delay', by: '1s' } } }, true],
    ['durations in a named map', { rateLimit: { limits: { a: { requests: 1, per: '60s' } } } }, { rateLimit: { limits: { a: { per: '1m', requests: 1 } } } }, true],
    ['texts that look like durations', { rateLimit: { limits: { a: { key: ['5s'] } } } }, { rateLimit: { limits: { a: { key: ['5000ms'] } } } }, false],
    ['removal and absence', { rateLimit: { limits: { a: null } } }, { rateLimit: { limits: {} } }, false],
  ] as const)('%s', (_what, a, b, equal) => {
    expect(model.canonicallyEqual(policy(a), policy(b))).toBe(equal);
    expect(model.canonicallyEqual(policy(b), policy(a))).toBe(equal);
  });

  test('the order of keys means nothing, in any document', () => {
    fc.assert(fc.property(fc.constantFrom(...valid), fc.infiniteStream(fc.nat()), (document, random) => {
      const shuffled = shuffleKeys(document, random) as JsonObject;
      expect(model.canonicallyEqual(document, shuffled)).toBe(true);
      expect(JSON.stringify(canonicalForm(shuffled))).toBe(JSON.stringify(canonicalForm(document)));
      expect(canonicalJson(canonicalForm(shuffled))).toBe(canonicalJson(document));
    }), { numRuns: 100 });
  });
});

function shuffleKeys(value: Json, random: Iterator<number>): Json {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return (value as readonly Json[]).map((item) => shuffleKeys(item, random));
  const keys = Object.keys(value).map((key) => ({ key, at: Number(random.next().value) })).sort((a, b) => a.at - b.at);
  const made: Record<string, Json> = Object.create(null);
  for (const { key } of keys) made[key] = shuffleKeys((value as JsonObject)[key] ?? null, random);
  return made;
}

describe('validateDocument', () => {
  test('is total: no value makes it throw, and a refusal says why', () => {
    const key = fc.oneof(fc.constantFrom('kind', 'name', 'target', 'bounds', 'field', 'timeout', 'limits', 'rateLimit', 'match', 'to', 'ports', '__proto__', 'constructor', 'toString'), fc.string());
    const leaf = fc.oneof(fc.constantFrom<Json>('Policy', 'Route', 'Service', 'Gateway', 'Mesh', 'x', '5s', '/timeout', 1, -1, null, true), fc.string(), fc.double());
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof({ depthSize: 'small', withCrossShrink: true }, leaf, fc.array(tie('tree'), { maxLength: 3 }), fc.dictionary(key, tie('tree'), { maxKeys: 5 })),
    }));
    fc.assert(fc.property(fc.constantFrom('Policy', 'Route', 'Service', 'Gateway', 'Mesh', 'Secret', 'x'), fc.dictionary(key, tree, { maxKeys: 6 }), (kind, rest) => {
      const result = model.validateDocument({ name: 'x', target: {}, ...(rest as JsonObject), kind });
      const violations = result.ok ? [] : result.violations;
      expect(violations.every(({ code, message, pointer }) => /^[a-z0-9-]+$/.test(code) && message !== '' && /^(?:$|\/)/.test(pointer))).toBe(true);
      expect(result.ok || violations.length > 0).toBe(true);
    }), { numRuns: 1_500 });
  });

  test('what a named entry called __proto__ says is checked like any other', () => {
    const section = JSON.parse('{"headers": {"__proto__": {"exat": "1"}}}') as JsonObject;
    const result = model.validateDocument({ kind: 'Route', name: 'r', service: 's', match: section });
    expect(result.ok ? [] : result.violations).toMatchObject([{ pointer: '/match/headers/__proto__/exat', code: 'unknown-field', suggestion: 'exact' }, { pointer: '/match/headers/__proto__', code: 'exclusive' }]);
  });

  test('half of a surrogate pair is refused, as it has no bytes', () => {
    const result = model.validateDocument({ kind: 'Route', name: 'r', service: 's', respond: { status: 200, body: '\ud800' } });
    expect(result.ok ? [] : result.violations).toMatchObject([{ pointer: '/respond/body', code: 'invalid-text' }]);
  });

  test('a document too large for a resource is refused before anything else', () => {
    const result = model.validateDocument(policy({ rateLimit: { limits: Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`e${i}`, { requests: 1, per: '1m', key: ['ä'.repeat(60)] }])) } }));
    expect(result.ok ? [] : result.violations).toMatchObject([{ pointer: '', code: 'too-large' }]);
  });
});

describe('jsonSchemaFor', () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  const validators = new Map(documentKinds.map((kind) => [kind as string, ajv.compile(model.jsonSchemaFor(kind) as JsonObject)]));

  test.each(valid.map((document) => [`${(document['kind'] as string)}/${(document['name'] as string)}`, document] as const))('accepts %s', (_name, document) => {
    // Ajv reads own properties of ordinary objects.
    const plain: unknown = JSON.parse(JSON.stringify(document));
    const validate = validators.get((document['kind'] as string));
    expect(validate?.(plain), JSON.stringify(validate?.errors)).toBe(true);
  });

  test('refuses unknown fields and reserved kinds', () => {
    expect(validators.get('Policy')?.(policy({ timeot: {} }))).toBe(false);
    expect(model.jsonSchemaFor('Secret')).toBeNull();
  });
});
