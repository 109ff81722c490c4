import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { cidr, duration, entryName, headerName, headerValue, method, notAvailable, oneOf, ratio, size } from './scalars.ts';

const types: Readonly<Record<string, z.ZodType>> = {
  duration: duration({ min: 1, max: 60_000 }), size: size({ max: 1024 }), ratio: ratio(), cidr: cidr(), headerName: headerName(), headerValue: headerValue(),
  method: method(), entryName: entryName(), oneOf: oneOf(['a', 'b'], ['later']),
};

function accepts(type: string, value: unknown): boolean {
  return types[type]?.safeParse(value).success ?? false;
}

describe('scalars of documents', () => {
  test.each([
    ['duration', '250ms'], ['duration', '1ms'], ['duration', '1m'], ['duration', '59s999ms'], ['size', '0B'], ['size', '1KiB'], ['ratio', 0], ['ratio', 1], ['ratio', 0.2], ['ratio', '20%'],
    ['ratio', '12.5%'], ['cidr', '10.0.0.0/8'], ['cidr', '192.0.2.7'], ['cidr', '2001:db8::/32'], ['cidr', '::1'], ['cidr', '0.0.0.0/0'], ['headerName', 'X-Tenant'], ['headerName', '__proto__'],
    ['headerValue', ''], ['headerValue', 'a b'], ['headerValue', 'caf\u00e9'], ['method', 'GET'], ['method', 'M-SEARCH'], ['entryName', 'perIp'], ['entryName', 'a-b_1'], ['oneOf', 'a'],
  ])('%s accepts %j', (type, value) => {
    expect(accepts(type, value)).toBe(true);
  });

  test.each([
    ['duration', '0ms'], ['duration', '61s'], ['duration', '1 s'], ['duration', '1'], ['duration', 1], ['duration', '1s1m'], ['duration', '-1s'], ['duration', ''], ['duration', null],
    ['size', '2KiB'], ['size', '1024'], ['size', '1kb'], ['ratio', 1.1], ['ratio', '101%'], ['ratio', '-1%'], ['ratio', '0.2'], ['ratio', Number.NaN], ['cidr', '10.0.0.0/33'], ['cidr', '10.0.0/8'],
    ['cidr', 'fe80::1%eth0'], ['cidr', '010.0.0.1'], ['cidr', '10.0.0.0/08'], ['headerName', ''], ['headerName', 'x tenant'], ['headerName', 'x:'], ['headerName', 'x'.repeat(129)],
    ['headerValue', 'a\r\nb'], ['headerValue', 'a\0'], ['headerValue', ' a'], ['headerValue', 'x'.repeat(4097)], ['headerValue', '\u20ac'], ['method', 'get'], ['method', ''],
    ['entryName', '1a'], ['entryName', 'a.b'], ['entryName', ''], ['entryName', 'a'.repeat(64)], ['oneOf', 'c'], ['oneOf', 'later'],
  ])('%s refuses %j', (type, value) => {
    expect(accepts(type, value)).toBe(false);
  });

  test('what was expected goes with the refusal, range included', () => {
    const issue = types['duration']?.safeParse('2h').error?.issues[0];
    expect(issue).toMatchObject({ message: '2h is out of range', params: { code: 'invalid-duration', expected: 'a duration such as 250ms, 5s or 1m30s from 1ms to 1m' } });
  });

  test('words of the vocabulary that come later are refused as such', () => {
    expect(types['oneOf']?.safeParse('later').error?.issues[0]).toMatchObject({ message: 'later is not available in this build', params: { code: 'not-available' } });
    expect(notAvailable('mirroring').safeParse({}).error?.issues[0]).toMatchObject({ message: 'mirroring is not available in this build', params: { code: 'not-available' } });
    expect(notAvailable('mirroring').optional().safeParse(undefined).success).toBe(true);
  });
});
