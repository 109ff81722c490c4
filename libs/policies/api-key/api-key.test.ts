import { createHmac } from 'node:crypto';
import type { JsonObject } from '@remora/core/canonical-json';
import type { EdgeFilter, Exchange } from '@remora/policy-kit/exchange';
import { consumerFacts, consumersNamed } from '@remora/testing/consumer-facts';
import { effectiveSection } from '@remora/testing/effective-section';
import { headLines, makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { beforeEach, describe, expect, test } from 'vitest';
import { apiKeyAuthoring } from './compile.ts';
import { apiKeyRuntime } from './filter.ts';

testKindCases(import.meta.dirname, apiKeyAuthoring, apiKeyRuntime);

const lookupKey = Buffer.alloc(32, 9);
const digest = (key: string): Buffer => createHmac('sha256', lookupKey).update(key).digest();

let context: TestFilterContext;
beforeEach(() => {
  context = new TestFilterContext('apiKey');
});

function know(...keys: readonly { readonly key: string; readonly consumer: string; readonly expiresMs?: number }[]): void {
  context.factBooks.apply(consumerFacts({
    key: { lookupKey }, 'consumers.1': { consumers: consumersNamed('app', 'other') },
    'apiKey.1': { apiKeys: keys.map(({ key, consumer, expiresMs = 0 }) => ({ consumer, id: `id-${key}`, digest: digest(key), expiresMs: BigInt(expiresMs) })) },
  }));
}

function build(section: JsonObject = {}): EdgeFilter {
  const filter = apiKeyRuntime.edge?.(apiKeyRuntime.decode(apiKeyAuthoring.compile(effectiveSection(apiKeyAuthoring, section)).body), context);
  if (!filter) throw new Error('no filter');
  return filter;
}

function ask(filter: EdgeFilter, headers: Readonly<Record<string, string | readonly string[]>>, target = '/a'): Exchange {
  const x = makeExchange({ request: { method: 'GET', authority: 'orders', target, headers } }, context);
  expect(filter.request?.(x)).toBeNull();
  return x;
}

describe('keys', () => {
  test('that somebody has prove their consumer, and are not forwarded', () => {
    know({ key: 'secret-key', consumer: 'app' });
    const filter = build();
    for (const _round of [1, 2]) {
      const x = ask(filter, { 'x-api-key': 'secret-key', accept: '*/*' });
      expect(x.identity).toMatchObject({ consumer: { name: 'app' }, subject: 'id-secret-key', failure: null });
      expect(headLines(x.head)).toEqual(['GET /a', 'host: orders', expect.stringMatching(/^accept/)]);
    }
    expect(context.counts.get('apiKey_accepted')).toBe(2);
  });

  test.each([
    ['nobody has', { 'x-api-key': 'other' }, 'api-key-invalid'],
    ['differ in case', { 'x-api-key': 'SECRET-KEY' }, 'api-key-invalid'],
    ['come twice', { 'x-api-key': ['secret-key', 'secret-key'] }, 'api-key-invalid'],
    ['are empty', { 'x-api-key': '' }, 'api-key-invalid'],
    ['are long', { 'x-api-key': 'k'.repeat(5_000) }, 'api-key-invalid'],
    ['are past their end', { 'x-api-key': 'old-key' }, 'api-key-expired'],
  ])('that %s fail', (_what, headers, code) => {
    know({ key: 'secret-key', consumer: 'app' }, { key: 'old-key', consumer: 'app', expiresMs: context.clock.wallMs() });
    const filter = build();
    for (const _round of [1, 2]) {
      const x = ask(filter, headers);
      expect(x.identity).toMatchObject({ consumer: null, failure: { status: 401, reason: { code }, fields: [{ name: 'www-authenticate', value: 'ApiKey' }] } });
      expect(headLines(x.head).join()).not.toContain('x-api-key');
    }
  });

  test('end at once when they are revoked, and belong to whom they belong now', () => {
    know({ key: 'secret-key', consumer: 'app' });
    const filter = build();
    expect(ask(filter, { 'x-api-key': 'secret-key' }).identity?.consumer?.name).toBe('app');
    know({ key: 'secret-key', consumer: 'other' });
    expect(ask(filter, { 'x-api-key': 'secret-key' }).identity?.consumer?.name).toBe('other');
    know();
    expect(ask(filter, { 'x-api-key': 'secret-key' }).identity?.failure?.reason.code).toBe('api-key-invalid');
  });

  test('both are good while one takes the place of the other', () => {
    const nowMs = context.clock.wallMs();
    know({ key: 'before', consumer: 'app', expiresMs: nowMs + 1_000 }, { key: 'after', consumer: 'app' });
    const filter = build();
    expect(ask(filter, { 'x-api-key': 'before' }).identity?.consumer?.name).toBe('app');
    context.clock.advance(1_000);
    expect(ask(filter, { 'x-api-key': 'before' }).identity?.failure?.reason.code).toBe('api-key-expired');
    expect(ask(filter, { 'x-api-key': 'after' }).identity?.consumer?.name).toBe('app');
  });

  test('that cannot be known yet are not the client\'s fault', () => {
    expect(ask(build(), { 'x-api-key': 'secret-key' }).identity?.failure).toMatchObject({ status: 503, reason: { code: 'api-key-warming' } });
  });

  test('in no place: the client is told what to show', () => {
    know();
    expect(ask(build(), {}).identity).toMatchObject({ failure: null, proved: 0, challenges: ['ApiKey'] });
  });
});

describe('places', () => {
  const section = { keyFrom: [{ header: 'X-Key' }, { query: 'api_key' }, { cookie: 'k' }] };

  test.each([
    ['header', { 'x-key': 'secret-key' }, '/a?b=1', '/a?b=1'],
    ['query', {}, '/a?b=1&api_key=secret-key&c=2', '/a?b=1&c=2'],
    ['query, its name written otherwise', {}, '/a?%61pi_key=secret-key', '/a'],
    ['cookie', { cookie: 'a=1; k=secret-key; b=2' }, '/a', '/a'],
  ])('%s', (_place, headers, target, forwarded) => {
    know({ key: 'secret-key', consumer: 'app' });
    const x = ask(build(section), headers, target);
    expect(x.identity?.consumer?.name).toBe('app');
    expect(x.head.target).toBe(forwarded);
    expect(headLines(x.head).join()).not.toContain('secret-key');
  });

  test('two of them at once are refused, and both are taken out', () => {
    know({ key: 'secret-key', consumer: 'app' });
    const x = ask(build(section), { 'x-key': 'secret-key' }, '/a?api_key=secret-key');
    expect(x.identity?.failure?.detail).toBe('more than one key');
    expect(headLines(x.head).join()).not.toContain('secret-key');
  });

  test('a key is forwarded only where that was asked for', () => {
    know({ key: 'secret-key', consumer: 'app' });
    expect(headLines(ask(build({ forwardKey: true }), { 'x-api-key': 'secret-key' }).head).join()).toContain('secret-key');
  });
});
