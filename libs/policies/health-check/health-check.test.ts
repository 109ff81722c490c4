import { effectiveSection } from '@remora/testing/effective-section';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { expect, test } from 'vitest';
import { healthCheckAuthoring } from './compile.ts';
import { healthCheckRuntime } from './filter.ts';

testKindCases(import.meta.dirname, healthCheckAuthoring, healthCheckRuntime);

test('marks the call', () => {
  const context = new TestFilterContext('healthCheck', { side: 'outbound' });
  const { body } = healthCheckAuthoring.compile(effectiveSection(healthCheckAuthoring, { marks: { 'X-Mark': '1' } }));
  const driver = new LayerDriver(healthCheckRuntime.layer?.(healthCheckRuntime.decode(body), context) ?? ((next) => next), context);
  expect(driver.last.lines).toContain('x-mark: 1');
  driver.last.answer(200);
  expect(driver.response.events).toEqual(['head 200 end']);
});
