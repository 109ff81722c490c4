import { effectiveSection } from '@remora/testing/effective-section';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { expect, test } from 'vitest';
import { outlierDetectionAuthoring } from './compile.ts';
import { outlierDetectionRuntime } from './filter.ts';

testKindCases(import.meta.dirname, outlierDetectionAuthoring, outlierDetectionRuntime);

test('marks the call', () => {
  const context = new TestFilterContext('outlierDetection', { side: 'outbound' });
  const { body } = outlierDetectionAuthoring.compile(effectiveSection(outlierDetectionAuthoring, { marks: { 'X-Mark': '1' } }));
  const driver = new LayerDriver(outlierDetectionRuntime.layer?.(outlierDetectionRuntime.decode(body), context) ?? ((next) => next), context);
  expect(driver.last.lines).toContain('x-mark: 1');
  driver.last.answer(200);
  expect(driver.response.events).toEqual(['head 200 end']);
});
