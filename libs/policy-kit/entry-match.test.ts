import { makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { describe, expect, test } from 'vitest';
import { compileEntryMatch, entryMatchSchema } from './entry-match-schema.ts';
import { buildEntryMatch, readEntryMatch } from './entry-match.ts';
import { RequestIdentity } from './request-identity.ts';
import { WireError } from './runtime-kind.ts';

const context = new TestFilterContext('rateLimit');
context.factBooks.apply({ kind: 'identity', full: true, facts: new Map([['own', Buffer.from(JSON.stringify({ trustDomain: 'shop.example' }))]]) });

function matches(match: unknown, request: { method?: string; target?: string; headers?: Record<string, string | string[]> }): boolean {
  const test = buildEntryMatch(readEntryMatch(compileEntryMatch(entryMatchSchema().parse(match)), '/match'), context);
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
    const message = { methods: ['GET'], paths: ['/a'], headers: [{ name: 'x-a', mode: 'exact', value: '1' }], callers: ['web'], consumers: ['gold'] };
    expect(readEntryMatch(message, '/match')).toEqual(message);
    expect(() => readEntryMatch({ ...message, headers: [{ name: 'x-a', mode: 'like', value: '1' }] }, '/match')).toThrow(WireError);
    expect(() => readEntryMatch({ ...message, methods: ['G T'] }, '/match')).toThrow(WireError);
    expect(() => readEntryMatch({ ...message, callers: ['a/*/b'] }, '/match')).toThrow(WireError);
    expect(() => readEntryMatch({ ...message, consumers: ['No'] }, '/match')).toThrow(WireError);
    expect(() => readEntryMatch({ ...message, consumers: Array.from({ length: 65 }, () => 'a') }, '/match')).toThrow(WireError);
    expect(readEntryMatch({ methods: [], paths: [], headers: [] }, '/match')).toEqual({ methods: [], paths: [], headers: [], callers: [], consumers: [] });
    expect(() => readEntryMatch({ ...message, paths: Array.from({ length: 65 }, () => '/a') }, '/match')).toThrow(WireError);
  });
});

describe('match by who asks', () => {
  const known = entryMatchSchema({ callers: true, consumers: true });
  const web = 'spiffe://shop.example/service/web';
  const outside = { fingerprint: '', subject: '', dnsNames: [], uris: [web], emails: [], endsMs: 0, serial: '', issuerHash: '', issuerKeyId: '' };

  test.each<[unknown, { principal?: string; clientCertificate?: typeof outside }, string | null, boolean]>([
    [{ callers: ['web'] }, { principal: web }, null, true],
    [{ callers: ['web'] }, { principal: 'spiffe://other.example/service/web' }, null, false],
    [{ callers: ['web'] }, { principal: `${web}-2` }, null, false],
    [{ callers: ['other', 'service/*'] }, { principal: web }, null, true],
    [{ callers: [web] }, { principal: web }, null, true],
    [{ callers: ['gateway/edge'] }, { principal: 'spiffe://shop.example/gateway/edge' }, null, true],
    [{ callers: ['*'] }, { principal: web }, null, true],
    [{ callers: ['*'] }, {}, null, false],
    [{ callers: ['*'] }, { principal: web, clientCertificate: outside }, null, false],
    [{ consumers: ['gold'] }, {}, 'gold', true],
    [{ consumers: ['gold'] }, {}, 'silver', false],
    [{ consumers: ['*'] }, {}, 'silver', true],
    [{ consumers: ['*'] }, {}, null, false],
    [{ callers: ['web'], consumers: ['gold'] }, { principal: web }, 'gold', true],
    [{ callers: ['web'], consumers: ['gold'] }, { principal: web }, null, false],
  ])('%j of %j, consumer %s: %j', (match, connection, consumer, expected) => {
    const applies = buildEntryMatch(readEntryMatch(compileEntryMatch(known.parse(match)), '/match'), context);
    const x = makeExchange({ request: { method: 'GET', authority: 'a', target: '/' }, connection }, context);
    if (consumer !== null) (x.identity = new RequestIdentity()).consumer = { name: consumer, groups: [], plan: '' };
    expect(applies?.(x)).toBe(expected);
  });

  test.each<[unknown, string]>([
    [{ callers: [] }, ''], [{ callers: ['a/*/b'] }, 'has a * that is not the whole last segment'], [{ callers: ['spiffe://shop.example'] }, 'is a trust domain and no caller'], [{ consumers: ['Gold'] }, 'is not the name of a Consumer'], [{ consumers: 'gold' }, ''],
  ])('%j is refused', (match, message) => {
    const parsed = known.safeParse(match);
    expect(parsed.success).toBe(false);
    expect(JSON.stringify(parsed.error?.issues)).toContain(message);
  });

  test('is refused in words where it is not known', () => {
    expect(entryMatchSchema().safeParse({ callers: ['web'] }).error?.issues[0]).toMatchObject({ message: 'callers are not known yet where these entries are looked at', params: { code: 'not-available' } });
    expect(entryMatchSchema({ callers: true }).safeParse({ consumers: ['gold'] }).error?.issues[0]?.message).toContain('consumers are not known yet');
    expect(entryMatchSchema().parse({ methods: ['GET'] })).toEqual({ methods: ['GET'] });
  });
});
