import { effectiveSection } from '@remora/testing/effective-section';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { expect, test } from 'vitest';
import { circuitBreakerAuthoring } from './compile.ts';
import { circuitBreakerRuntime } from './filter.ts';

testKindCases(import.meta.dirname, circuitBreakerAuthoring, circuitBreakerRuntime);

test('marks the call', () => {
  const context = new TestFilterContext('circuitBreaker', { side: 'outbound' });
  const { body } = circuitBreakerAuthoring.compile(effectiveSection(circuitBreakerAuthoring, { marks: { 'X-Mark': '1' } }));
  const driver = new LayerDriver(circuitBreakerRuntime.layer?.(circuitBreakerRuntime.decode(body), context) ?? ((next) => next), context);
  expect(driver.last.lines).toContain('x-mark: 1');
  driver.last.answer(200);
  expect(driver.response.events).toEqual(['head 200 end']);
});
