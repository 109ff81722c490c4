import { makeExchange } from '@remora/testing/exchange-driver';
import { ManualClock } from '@remora/testing/manual-clock';
import { describe, expect, test } from 'vitest';
import { compileEntryMatch, entryMatchSchema } from './entry-match-schema.ts';
import { buildEntryMatch, readEntryMatch } from './entry-match.ts';
import { WireError } from './runtime-kind.ts';

const context = { clock: new ManualClock() };

function matches(match: unknown, request: { method?: string; target?: string; headers?: Record<string, string | string[]> }): boolean {
  const test = buildEntryMatch(readEntryMatch(compileEntryMatch(entryMatchSchema().parse(match)), '/match'));
  return test === null || test(makeExchange({ request: { method: 'GET', authority: 'a', target: '/', ...request } }, context));
}

describe('match of a named entry', () => {
  test.each([
    [{}, {}, true],
    [{ methods: ['GET'] }, {}, true],
    [{ methods: ['GET', 'PUT'] }, { method: 'POST' }, false],
    [{ paths: ['/a'] }, { target: '/a?x=1' }, true],
    [{ paths: ['/a'] }, { target: '/a/b' }, false],
    [{ paths: ['/a/*'] }, { target: '/a/b/c' }, true],
    [{ paths: ['/a/*'] }, { target: '/a' }, true],
    [{ paths: ['/a/*'] }, { target: '/a/' }, true],
    [{ paths: ['/a/*'] }, { target: '/ab' }, false],
    [{ paths: ['/*'] }, { target: '/anything' }, true],
    [{ paths: ['/x', '/a/*'] }, { target: '/x' }, true],
    [{ headers: { 'X-A': { exact: '1' } } }, { headers: { 'x-a': ['0', '1'] } }, true],
    [{ headers: { 'x-a': { exact: '1' } } }, { headers: { 'x-a': '10' } }, false],
    [{ headers: { 'x-a': { prefix: '1' } } }, { headers: { 'x-a': '10' } }, true],
    [{ headers: { 'x-a': { prefix: '1' } } }, {}, false],
    [{ headers: { 'x-a': { present: true } } }, { headers: { 'x-a': '' } }, true],
    [{ headers: { 'x-a': { absent: true } } }, { headers: { 'x-a': '' } }, false],
    [{ headers: { 'x-a': { absent: true } } }, {}, true],
    [{ methods: ['GET'], paths: ['/a'], headers: { 'x-a': { present: true } } }, { target: '/a' }, false],
    [{ methods: ['GET'], paths: ['/a'], headers: { 'x-a': { present: true } } }, { target: '/a', headers: { 'x-a': '1' } }, true],
  ])('%j on %j: %j', (match, request, expected) => {
    expect(matches(match, request)).toBe(expected);
  });

  test.each([
    { methods: ['get'] }, { methods: [] }, { paths: ['a'] }, { paths: ['/a*'] }, { paths: ['/a/*/b'] }, { paths: ['/a?b'] }, { headers: { 'x a': { present: true } } },
    { headers: { 'x-a': {} } }, { headers: { 'x-a': { exact: 'a', prefix: 'a' } } }, { headers: { 'x-a': { present: false } } }, { callers: ['batch'] }, { consumers: ['gold'] }, { hosts: ['a'] },
  ])('%j is refused', (match) => {
    expect(entryMatchSchema().safeParse(match).success).toBe(false);
  });

  test('bounds are checked again on the wire', () => {
    const message = { methods: ['GET'], paths: ['/a'], headers: [{ name: 'x-a', mode: 'exact', value: '1' }] };
    expect(readEntryMatch(message, '/match')).toEqual(message);
    expect(() => readEntryMatch({ ...message, headers: [{ name: 'x-a', mode: 'like', value: '1' }] }, '/match')).toThrow(WireError);
    expect(() => readEntryMatch({ ...message, methods: ['G T'] }, '/match')).toThrow(WireError);
    expect(() => readEntryMatch({ ...message, paths: Array.from({ length: 65 }, () => '/a') }, '/match')).toThrow(WireError);
  });
});
