import { effectiveSection } from '@remora/testing/effective-section';
import { driveExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { expect, test } from 'vitest';
import { concurrencyAuthoring } from './compile.ts';
import { concurrencyRuntime } from './filter.ts';

testKindCases(import.meta.dirname, concurrencyAuthoring, concurrencyRuntime);

test('marks the response', () => {
  const context = new TestFilterContext('concurrency');
  const { body } = concurrencyAuthoring.compile(effectiveSection(concurrencyAuthoring, { marks: { 'X-Mark': '1' } }));
  const filter = concurrencyRuntime.edge?.(concurrencyRuntime.decode(body), context) ?? { kind: 'concurrency' };
  expect(driveExchange(filter, context, { request: { method: 'GET', authority: 'orders', target: '/' } }).response).toEqual(['x-mark: 1']);
  expect(context.counts.get('concurrency_marked')).toBe(1);
});
