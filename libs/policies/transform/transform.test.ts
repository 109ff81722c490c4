import type { JsonObject } from '@remora/core/canonical-json';
import type { EdgeFilter } from '@remora/policy-kit/exchange';
import { effectiveSection } from '@remora/testing/effective-section';
import { driveExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { transformAuthoring } from './compile.ts';
import { transformRuntime } from './filter.ts';
import { protectionOf } from './protected-headers.ts';

testKindCases(import.meta.dirname, transformAuthoring, transformRuntime);

function build(section: JsonObject): { filter: EdgeFilter; context: TestFilterContext } {
  const context = new TestFilterContext('transform');
  const filter = transformRuntime.edge?.(transformRuntime.decode(transformAuthoring.compile(effectiveSection(transformAuthoring, section)).body), context);
  if (!filter) throw new Error('the section edits something');
  return { filter, context };
}

describe('transform', () => {
  test('edits the responses that Remora makes itself too', () => {
    const { filter, context } = build({ response: { headers: { set: { 'x-shop': 'yes' } } } });
    expect(driveExchange(filter, context, { request: { method: 'GET', authority: 'orders', target: '/' } }).response).toEqual(['x-shop: yes']);
  });

  test('sections without edits build no filter', () => {
    const body = transformAuthoring.compile({ request: { headers: {} } }).body;
    expect(transformRuntime.edge?.(transformRuntime.decode(body), new TestFilterContext('transform'))).toBeNull();
  });

  test('nothing that a client sends in a variable breaks the framing', () => {
    const { filter, context } = build({ request: { headers: { set: { 'x-a': '${query.a}', 'x-b': 'v=${path.id}' } }, query: { set: { b: '${path.id}' } } } });
    fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (query, id) => {
      const target = `/?a=${encodeURIComponent(query.toWellFormed())}`;
      const outcome = driveExchange(filter, context, { request: { method: 'GET', authority: 'orders', target }, pathValues: { id } });
      expect(outcome.verdict).toBe('pass');
      for (const line of outcome.forwarded ?? []) expect(line).not.toMatch(/[\r\n\0]/);
      expect(outcome.forwarded?.[0]).toMatch(/^GET \/\?[!-~]*$/);
    }));
  });

  test.each(['Host', 'connection', 'Content-Length', 'transfer-encoding', 'TE', 'Trailer', 'Upgrade', 'Keep-Alive', 'X-Remora-Deadline'])('%s is protected', (name) => {
    expect(protectionOf(name.toLowerCase())).not.toBeNull();
  });

  test('a query that no edit changes stays byte for byte', () => {
    const { filter, context } = build({ request: { query: { remove: { gone: true } } } });
    fc.assert(fc.property(fc.webQueryParameters().filter((query) => !query.includes('gone') && !query.includes('%67')), (query) => {
      const outcome = driveExchange(filter, context, { request: { method: 'GET', authority: 'orders', target: query === '' ? '/' : `/?${query}` } });
      expect(outcome.forwarded?.[0]).toBe(query === '' ? 'GET /' : `GET /?${query}`);
    }));
  });
});
