import { effectiveSection } from '@remora/testing/effective-section';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { expect, test } from 'vitest';
import { hedgingAuthoring } from './compile.ts';
import { hedgingRuntime } from './filter.ts';

testKindCases(import.meta.dirname, hedgingAuthoring, hedgingRuntime);

test('marks the call', () => {
  const context = new TestFilterContext('hedging', { side: 'outbound' });
  const { body } = hedgingAuthoring.compile(effectiveSection(hedgingAuthoring, { marks: { 'X-Mark': '1' } }));
  const driver = new LayerDriver(hedgingRuntime.layer?.(hedgingRuntime.decode(body), context) ?? ((next) => next), context);
  expect(driver.last.lines).toContain('x-mark: 1');
  driver.last.answer(200);
  expect(driver.response.events).toEqual(['head 200 end']);
});
