import { effectiveSection } from '@remora/testing/effective-section';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { expect, test } from 'vitest';
import { loadBalancingAuthoring } from './compile.ts';
import { loadBalancingRuntime } from './filter.ts';

testKindCases(import.meta.dirname, loadBalancingAuthoring, loadBalancingRuntime);

test('marks the call', () => {
  const context = new TestFilterContext('loadBalancing', { side: 'outbound' });
  const { body } = loadBalancingAuthoring.compile(effectiveSection(loadBalancingAuthoring, { marks: { 'X-Mark': '1' } }));
  const driver = new LayerDriver(loadBalancingRuntime.layer?.(loadBalancingRuntime.decode(body), context) ?? ((next) => next), context);
  expect(driver.last.lines).toContain('x-mark: 1');
  driver.last.answer(200);
  expect(driver.response.events).toEqual(['head 200 end']);
});
