import type { JsonObject } from '@remora/core/canonical-json';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { sampleKinds } from '@remora/testing/sample-kinds';
import { expect, test } from 'vitest';
import { createModel } from './model.ts';

/** The sample kinds, one of which has all or some of its fields per destination. */
function violations(perDestination: AuthoringKind['perDestination'], target: JsonObject): string[] {
  const timeout = sampleKinds.get('timeout') as AuthoringKind;
  const kinds = new Map(sampleKinds).set('timeout', { ...timeout, ...(perDestination && { perDestination }) });
  const result = createModel({ kinds, checkRegex: () => null }).validateDocument({ kind: 'Policy', name: 'p', target, timeout: { request: '1s', connect: '1s' } });
  return result.ok ? [] : result.violations.map(({ pointer, code }) => `${pointer} ${code}`);
}

test.each([
  ['nothing, and a Route of a service', undefined, { service: 'orders', route: 'split' }, []],
  ['a field, and a Route of a service', ['connect'], { service: 'orders', route: 'split' }, ['/timeout/connect not-available']],
  ['the whole kind, and a Route of a service', true, { service: 'orders', route: 'split' }, ['/timeout not-available']],
  ['the whole kind, and a Route of a gateway', true, { gateway: 'edge', route: 'api' }, ['/timeout not-available']],
  ['the whole kind, and a service', true, { service: 'orders' }, []],
  ['the whole kind, and everything', true, {}, []],
] as const)('per destination: %s', (_, perDestination, target, expected) => {
  expect(violations(perDestination, target)).toEqual(expected);
});
