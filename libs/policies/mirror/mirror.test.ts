import { effectiveSection } from '@remora/testing/effective-section';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { expect, test } from 'vitest';
import { mirrorAuthoring } from './compile.ts';
import { mirrorRuntime } from './filter.ts';

testKindCases(import.meta.dirname, mirrorAuthoring, mirrorRuntime);

test('marks the call', () => {
  const context = new TestFilterContext('mirror', { side: 'outbound' });
  const { body } = mirrorAuthoring.compile(effectiveSection(mirrorAuthoring, { marks: { 'X-Mark': '1' } }));
  const driver = new LayerDriver(mirrorRuntime.layer?.(mirrorRuntime.decode(body), context) ?? ((next) => next), context);
  expect(driver.last.lines).toContain('x-mark: 1');
  driver.last.answer(200);
  expect(driver.response.events).toEqual(['head 200 end']);
});
