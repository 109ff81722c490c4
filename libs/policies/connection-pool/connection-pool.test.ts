import { effectiveSection } from '@remora/testing/effective-section';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { expect, test } from 'vitest';
import { connectionPoolAuthoring } from './compile.ts';
import { connectionPoolRuntime } from './filter.ts';

testKindCases(import.meta.dirname, connectionPoolAuthoring, connectionPoolRuntime);

test('marks the call', () => {
  const context = new TestFilterContext('connectionPool', { side: 'outbound' });
  const { body } = connectionPoolAuthoring.compile(effectiveSection(connectionPoolAuthoring, { marks: { 'X-Mark': '1' } }));
  const driver = new LayerDriver(connectionPoolRuntime.layer?.(connectionPoolRuntime.decode(body), context) ?? ((next) => next), context);
  expect(driver.last.lines).toContain('x-mark: 1');
  driver.last.answer(200);
  expect(driver.response.events).toEqual(['head 200 end']);
});
