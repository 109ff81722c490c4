import { effectiveSection } from '@remora/testing/effective-section';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { expect, test } from 'vitest';
import { fallbackAuthoring } from './compile.ts';
import { fallbackRuntime } from './filter.ts';

testKindCases(import.meta.dirname, fallbackAuthoring, fallbackRuntime);

test('marks the call', () => {
  const context = new TestFilterContext('fallback', { side: 'outbound' });
  const { body } = fallbackAuthoring.compile(effectiveSection(fallbackAuthoring, { marks: { 'X-Mark': '1' } }));
  const driver = new LayerDriver(fallbackRuntime.layer?.(fallbackRuntime.decode(body), context) ?? ((next) => next), context);
  expect(driver.last.lines).toContain('x-mark: 1');
  driver.last.answer(200);
  expect(driver.response.events).toEqual(['head 200 end']);
});
