import { RequestIdentity } from './request-identity.ts';
import { seededRandom } from '@remora/core/random';
import { makeExchange, type ExchangeStep } from '@remora/testing/exchange-driver';
import { ManualClock } from '@remora/testing/manual-clock';
import { buildResponseHead } from '@remora/http/head-builder';
import { describe, expect, test } from 'vitest';
import { headerId } from '@remora/http/header-ids';
import { parseTemplate, variableCatalogue, type TemplateScope } from './template.ts';
import { compileTemplate, formatMs, type TemplateOptions } from './variables.ts';
import { formatUuid4, formatUuid7 } from './uuid.ts';

const clock = new ManualClock();
const step: ExchangeStep = {
  request: {
    method: 'GET', authority: 'shop.example:8080', target: '/orders/7?v=1&v=a%20b',
    headers: [['x-a', '1'], ['x-a', '2'], ['cookie', 'a=1; b=2'], ['cookie', 'b=3']],
  },
  route: 'orders-api', pathValues: { id: '7', tenant: 'acme' }, clientAddress: '203.0.113.9',
};

function evaluate(text: string, scope: TemplateScope = 'request', options: TemplateOptions = {}): string {
  const parsed = parseTemplate(text, scope);
  if (!parsed.ok) throw new Error(parsed.error);
  const evaluator = compileTemplate(parsed.parts, { random: seededRandom(1), clock, ...options });
  const x = makeExchange(step, { clock });
  x.responseHead = buildResponseHead({ status: 404, headers: [['etag', '"x"']] });
  x.endedAt = x.startedAt + 12.3456;
  x.attempts = 2;
  return evaluator(x);
}

describe('compileTemplate', () => {
  test.each([
    ['', ''],
    ['plain', 'plain'],
    ['${request.method} ${request.path}?${request.query}', 'GET /orders/7?v=1&v=a%20b'],
    ['${request.host}|${request.scheme}|${request.target}', 'shop.example:8080|http|/orders/7?v=1&v=a%20b'],
    ['${path.tenant}/${path.id}/${path.none}', 'acme/7/'],
    ['${header.X-A},${header.none}', '1,2,'],
    ['${query.v}${query.w}', '1,a b'],
    ['${cookie.b}', '2,3'],
    ['${client.address} ${peer.address}', '203.0.113.9 192.0.2.10'],
    ['${route}@${route.owner} ${side}', 'orders-api@orders inbound'],
    ['${now} ${now.unix} ${now.unixMs}', '2026-01-01T00:00:00.000Z 1767225600 1767225600000'],
    ['${request.id}', 'request-1'],
  ])('%s', (text, wanted) => expect(evaluate(text)).toBe(wanted));

  test('after the end', () => {
    expect(evaluate('${response.status} ${response.header.etag} ${duration} ${attempts} ${reason.code}', 'log')).toBe('404 "x" 12.346 2 ');
  });

  test('the trace is what traceparent says, or what is recorded here', () => {
    const parsed = parseTemplate('${trace.id} ${trace.span}');
    if (!parsed.ok) throw new Error(parsed.error);
    const evaluator = compileTemplate(parsed.parts);
    const x = makeExchange(step, { clock });
    expect(evaluator(x)).toBe(' ');
    x.head.set(headerId('traceparent'), 'nonsense');
    expect(evaluator(x)).toBe(' ');
    x.head.set(headerId('traceparent'), `00-${'a'.repeat(32)}-${'b'.repeat(16)}-00`);
    expect(evaluator(x)).toBe(`${'a'.repeat(32)} `);
    x.trace = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), recorded: true };
    expect(evaluator(x)).toBe(`${'c'.repeat(32)} ${'d'.repeat(16)}`);
  });

  test('the request is what the client asked for, also where the route rewrote it', () => {
    const parsed = parseTemplate('${request.host} ${request.path} ${request.target} ${upstream.path}', 'log');
    if (!parsed.ok) throw new Error(parsed.error);
    const evaluator = compileTemplate(parsed.parts);
    const x = makeExchange(step, { clock });
    expect(evaluator(x)).toBe('shop.example:8080 /orders/7 /orders/7?v=1&v=a%20b ');
    x.askedPath = x.head.path;
    x.head.setTarget('/7', 'v=1&v=a%20b');
    x.askedAuthority = x.head.authority;
    x.head.setAuthority('orders');
    expect(evaluator(x)).toBe('shop.example:8080 /orders/7 /orders/7?v=1&v=a%20b /7');
  });

  test('every variable of the catalogue has a reader', () => {
    for (const name of Object.keys(variableCatalogue)) {
      const text = `\${${name}${name.endsWith('.') ? 'x' : ''}}`;
      const scope = (['request', 'answer', 'log'] as const).find((one) => parseTemplate(text, one).ok) ?? 'request';
      expect(typeof evaluate(text, scope)).toBe('string');
    }
  });

  test('escapes variables only, and cuts what is too long', () => {
    expect(evaluate('<${query.v}>', 'request', { escape: (value) => value.replaceAll(' ', '+') })).toBe('<1,a+b>');
    expect(evaluate('${request.host}${request.host}${request.host}', 'request', { lengthMax: 20 })).toBe('shop.example:8080sho');
    expect(evaluate('${request.host}', 'request', { lengthMax: 4 })).toBe('shop');
  });

  test('a route with other variables does not see those of the one before', () => {
    const parsed = parseTemplate('${path.id}');
    if (!parsed.ok) throw new Error(parsed.error);
    const evaluator = compileTemplate(parsed.parts);
    const one = makeExchange(step, { clock });
    const two = makeExchange({ ...step, pathValues: { tenant: 'b', id: '9' } }, { clock });
    const three = makeExchange({ ...step, pathValues: {} }, { clock });
    expect([one, two, three, one].map((x) => evaluator(x))).toEqual(['7', '9', '', '7']);
  });
});

describe('uuid', () => {
  test('has the form and the version bits', () => {
    const random = seededRandom(3);
    for (let i = 0; i < 200; i++) {
      expect(formatUuid4(random)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(formatUuid7(Date.UTC(2026, 0, 1) + i, random)).toMatch(/^019b76da-a8[0-9a-f]{2}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });
});

test('formatMs', () => {
  expect([0, -1, 0.0004, 1, 12.34567, 1e6].map(formatMs)).toEqual(['0', '0', '0', '1', '12.346', '1000000']);
});

test('consumers and claims: empty where nobody was found, and nothing that breaks a line', () => {
  const x = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/' } }, { clock: new ManualClock() });
  const read = (text: string): string => {
    const parsed = parseTemplate(text);
    if (!parsed.ok) throw new Error(parsed.error);
    return compileTemplate(parsed.parts)(x);
  };
  const whole = '${consumer.name}|${consumer.groups}|${consumer.plan}|${claim.sub}|${claim.realm_access.roles}';
  expect(read(whole)).toBe('||||');
  x.identity = new RequestIdentity();
  expect(read(whole)).toBe('||||');
  x.identity.finds('jwt', { consumer: { name: 'app', groups: ['a', 'b'], plan: 'gold' }, subject: '', issuer: '', claims: { sub: 'x\r\nset-cookie: y', realm_access: { roles: ['r1', 'r2'] } }, scopes: [] });
  expect(read(whole)).toBe('app|a,b|gold|x  set-cookie: y|r1,r2');
});
