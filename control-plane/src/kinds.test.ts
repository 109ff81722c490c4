import { createModel } from '@remora/model/model';
import { checkRegex } from '@remora/router/regex';
import { describe, expect, test } from 'vitest';
import { authoringKinds } from './kinds.ts';

const model = createModel({ kinds: authoringKinds, checkRegex });
const limits = { bodyBytes: '1MiB', idleTimeout: '5s', headerCount: 7 };
const policy = (target: Readonly<Record<string, string>>) => model.validateDocument({ kind: 'Policy', name: 'x', target, requestLimits: limits });

describe('fields that act before a Route is known', () => {
  test.each([{ gateway: 'edge', route: 'uploads' }, { service: 'orders', route: 'uploads' }])('are refused for %j, all at once', (target) => {
    const result = policy(target);
    expect(result.ok ? [] : result.violations.map(({ pointer, code }) => [pointer, code])).toEqual([
      ['/requestLimits/headerCount', 'not-available'], ['/requestLimits/idleTimeout', 'not-available'],
    ]);
  });

  test.each([{}, { gateway: 'edge' }, { service: 'orders' }])('are accepted for %j', (target) => {
    expect(policy(target).ok).toBe(true);
  });
});
