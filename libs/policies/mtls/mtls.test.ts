import { effectiveSection } from '@remora/testing/effective-section';
import { testKindCases } from '@remora/testing/kind-cases';
import { TestFilterContext } from '@remora/testing/filter-context';
import { expect, it } from 'vitest';
import { mtlsAuthoring } from './compile.ts';
import { mtlsRuntime } from './filter.ts';

testKindCases(import.meta.dirname, mtlsAuthoring, mtlsRuntime);

it('has nothing to do per request where no port is strict, and none at gateways', () => {
  const edge = (section: object, side: 'inbound' | 'gateway' = 'inbound'): unknown => {
    const { body } = mtlsAuthoring.compile(effectiveSection(mtlsAuthoring, section as never));
    return mtlsRuntime.edge?.(mtlsRuntime.decode(body), new TestFilterContext('mtls', { side }));
  };
  expect(edge({})).toBeNull();
  expect(edge({ mode: 'disabled', ports: { metrics: 'permissive' } })).toBeNull();
  expect(edge({ mode: 'strict' }, 'gateway')).toBeNull();
  expect(edge({ ports: { http: 'strict' } })).not.toBeNull();
});

it.each([[{}, true], [{ mode: 'permissive' }, true], [{ mode: 'strict' }, false], [{ ports: { metrics: 'disabled' } }, false], [{ trustDomains: ['partner.example'] }, false]])('travels unless it is what a sidecar does anyway: %j', (section, usual) => {
  expect(mtlsAuthoring.isUsual?.(effectiveSection(mtlsAuthoring, section))).toBe(usual);
});
