import type { Json, JsonObject } from '@remora/core/canonical-json';
import { canonicalPath, type PathSpellingRules } from '@remora/http/canonical-path';
import { RequestIdentity, type ConsumerFacts } from '@remora/policy-kit/request-identity';
import { effectiveSection } from '@remora/testing/effective-section';
import { makeExchange, type ExchangeStep } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { authorizationAuthoring } from './compile.ts';
import { authorizationRuntime } from './filter.ts';

testKindCases(import.meta.dirname, authorizationAuthoring, authorizationRuntime);

interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly caller?: string;
  readonly consumer?: ConsumerFacts;
  readonly claims?: Readonly<Record<string, Json>>;
  readonly scopes?: readonly string[];
  readonly address?: string;
  readonly headers?: Record<string, string | string[]>;
}

function build(section: JsonObject, trustDomain = 'shop.example') {
  const context = new TestFilterContext('authorization');
  context.factBooks.apply({ kind: 'identity', full: true, facts: new Map([['own', Buffer.from(JSON.stringify({ trustDomain }))]]) });
  const filter = authorizationRuntime.edge?.(authorizationRuntime.decode(authorizationAuthoring.compile(effectiveSection(authorizationAuthoring, section)).body), context) ?? null;
  return {
    filter, context,
    ask: (asked: Asked = {}): string => {
      const verdict = filter?.request?.(exchange(asked, context)) ?? null;
      if (typeof verdict === 'symbol') throw new Error('it never waits');
      return verdict === null ? 'pass' : verdict.pointer === '' ? 'default' : verdict.pointer;
    },
  };
}

function exchange({ method = 'GET', path = '/orders', caller = '', consumer, claims, scopes = [], address = '192.0.2.1', headers = {} }: Asked, context: TestFilterContext) {
  const step: ExchangeStep = { request: { method, authority: 'orders', target: path, headers }, clientAddress: address, connection: { principal: caller } };
  const x = makeExchange(step, context);
  if (consumer !== undefined || claims !== undefined || scopes.length > 0) {
    x.identity = new RequestIdentity();
    x.identity.finds('jwt', { consumer: consumer ?? null, subject: 's', issuer: 'i', claims: claims ?? null, scopes });
  }
  return x;
}

const allow = (conditions: JsonObject): JsonObject => ({ rules: { a: { action: 'allow', ...conditions } } });
const deny = (conditions: JsonObject): JsonObject => ({ rules: { a: { action: 'deny', ...conditions } } });
const web = 'spiffe://shop.example/service/web';
const gold: ConsumerFacts = Object.freeze({ name: 'mobile', groups: ['partners', 'eu'], plan: 'gold' });

describe('a condition', () => {
  test.each<[string, JsonObject, Asked, boolean]>([
    ['service by name', { callers: ['web'] }, { caller: web }, true],
    ['service by name, of another trust domain', { callers: ['web'] }, { caller: 'spiffe://evil.example/service/web' }, false],
    ['service by name, as a gateway', { callers: ['web'] }, { caller: 'spiffe://shop.example/gateway/web' }, false],
    ['service by name, longer', { callers: ['web'] }, { caller: `${web}-2` }, false],
    ['service by name, below', { callers: ['web'] }, { caller: `${web}/x` }, false],
    ['no certificate', { callers: ['*'] }, {}, false],
    ['any certificate', { callers: ['*'] }, { caller: 'spiffe://other/x' }, true],
    ['gateway', { callers: ['gateway/edge'] }, { caller: 'spiffe://shop.example/gateway/edge' }, true],
    ['whole id', { callers: [web] }, { caller: web }, true],
    ['ids below', { callers: ['spiffe://shop.example/service/*'] }, { caller: web }, true],
    ['ids below, border of a segment', { callers: ['spiffe://shop.example/serv/*'] }, { caller: web }, false],
    ['a whole trust domain', { callers: ['spiffe://shop.example/*'] }, { caller: web }, true],
    ['a whole trust domain, longer', { callers: ['spiffe://shop.example/*'] }, { caller: 'spiffe://shop.example.evil/service/web' }, false],
    ['all services here', { callers: ['service/*'] }, { caller: web }, true],
    ['method', { methods: ['GET'] }, {}, true],
    ['method, other', { methods: ['PUT'] }, {}, false],
    ['exact path', { paths: ['/orders'] }, {}, true],
    ['exact path, below', { paths: ['/orders'] }, { path: '/orders/1' }, false],
    ['prefix, itself', { paths: ['/orders/*'] }, {}, true],
    ['prefix, below', { paths: ['/orders/*'] }, { path: '/orders/1/2?x=1' }, true],
    ['prefix, border of a segment', { paths: ['/orders/*'] }, { path: '/orders2' }, false],
    ['everything', { paths: ['/*'] }, { path: '/' }, true],
    ['the root alone', { paths: ['/'] }, { path: '/' }, true],
    ['template', { paths: ['/v1/{t}/orders/{id}'] }, { path: '/v1/blue/orders/7' }, true],
    ['template, longer', { paths: ['/v1/{t}/orders/{id}'] }, { path: '/v1/blue/orders/7/lines' }, false],
    ['template, empty segment', { paths: ['/v1/{t}'] }, { path: '/v1/' }, false],
    ['template beside a literal', { paths: ['/v1/{t}/x', '/v1/a/y'] }, { path: '/v1/a/x' }, true],
    ['template and prefix', { paths: ['/v1/{t}/*'] }, { path: '/v1/a/b/c' }, true],
    ['consumer', { consumers: ['mobile'] }, { consumer: gold }, true],
    ['any consumer', { consumers: ['*'] }, { consumer: gold }, true],
    ['any consumer, none', { consumers: ['*'] }, {}, false],
    ['group', { groups: ['eu'] }, { consumer: gold }, true],
    ['consumer and group', { consumers: ['other'], groups: ['eu'] }, { consumer: gold }, false],
    ['scope', { scopes: ['a', 'b'] }, { scopes: ['b'] }, true],
    ['claim', { claims: { sub: 'u1' } }, { claims: { sub: 'u1' } }, true],
    ['claim, nested, in a list', { claims: { 'realm.roles': ['x', 'y'] } }, { claims: { realm: { roles: ['y'] } } }, true],
    ['claim, of another type', { claims: { level: 3 } }, { claims: { level: '3' } }, false],
    ['claim, missing', { claims: { level: 3 } }, { claims: {} }, false],
    ['claim named __proto__', { claims: { __proto__x: 'a', constructor: 'b' } }, { claims: {} }, false],
    ['two claims', { claims: { a: 1, b: 2 } }, { claims: { a: 1 } }, false],
    ['address', { addresses: ['192.0.2.0/24'] }, {}, true],
    ['address, mapped', { addresses: ['192.0.2.0/24'] }, { address: '::ffff:192.0.2.9' }, true],
    ['address, other', { addresses: ['192.0.2.0/24'] }, { address: '198.51.100.1' }, false],
    ['expression', { when: 'request.method == "GET" && caller.service == "web"' }, { caller: web }, true],
    ['expression, service of another trust domain', { when: 'caller.service == "web"' }, { caller: 'spiffe://evil.example/service/web' }, false],
    ['expression over every value of a header', { when: '"admin" in request.headers["x-role"]' }, { headers: { 'x-role': ['user', 'admin'] } }, true],
  ])('%s', (_title, conditions, asked, holds) => {
    expect(build(allow(conditions)).ask(asked)).toBe(holds ? 'pass' : 'default');
    expect(build(deny(conditions)).ask(asked)).toBe(holds ? '/rules/a' : 'pass');
  });

  test.each<[string, JsonObject, Asked]>([
    ['an address that cannot be read', { addresses: ['10.0.0.0/8'] }, { address: 'unknown' }],
    ['an expression that fails', { when: 'claims.missing == "x"' }, { claims: {} }],
    ['an expression that takes too long', { when: 'claims.l.all(a, claims.l.all(b, true))' }, { claims: { l: Array.from({ length: 500 }, () => 1) } }],
  ])('%s denies, in rules of both kinds', (_title, conditions, asked) => {
    const one = build(deny(conditions));
    expect(one.ask(asked)).toBe('/rules/a');
    expect(build({ ...allow(conditions), defaultAction: 'allow' }).ask(asked)).toBe('/rules/a');
    expect(one.context.counts.get('authorization_failed')).toBe(1);
  });

  test('that cannot be evaluated does not hide that another does not hold', () => {
    expect(build(deny({ addresses: ['10.0.0.0/8'], scopes: ['x'] })).ask({ address: 'unknown' })).toBe('pass');
  });
});

describe('rules together', () => {
  test.each<[string, JsonObject, string]>([
    ['none', { revoke: true }, 'pass'],
    ['none, denied by default', { defaultAction: 'deny' }, '/defaultAction'],
    ['one allows something else', { rules: { a: { action: 'allow', paths: ['/x'] } } }, 'default'],
    ['one allows something else, allowed by default', { defaultAction: 'allow', rules: { a: { action: 'allow', paths: ['/x'] } } }, 'pass'],
    ['only one that denies something else', { rules: { a: { action: 'deny', paths: ['/x'] } } }, 'pass'],
    ['one allows, one denies', { rules: { a: { action: 'allow', paths: ['/orders'] }, z: { action: 'deny', methods: ['GET'] } } }, '/rules/z'],
    ['two deny: the first by name', { rules: { b: { action: 'deny', methods: ['GET'] }, a: { action: 'deny', methods: ['GET'] } } }, '/rules/a'],
    ['one allows, another fails', { rules: { a: { action: 'allow', when: 'claims.x' }, b: { action: 'allow', methods: ['GET'] } } }, 'pass'],
  ])('%s: %j', (_title, section, expected) => {
    expect(build(section).ask()).toBe(expected);
  });

  test('decide as the most obvious reading of them does', () => {
    const rule = fc.record({
      action: fc.constantFrom('allow', 'deny'),
      callers: fc.subarray(['web', 'batch', '*'], { minLength: 1 }), methods: fc.subarray(['GET', 'POST'], { minLength: 1 }), paths: fc.subarray(['/a', '/a/*', '/{x}/b', '/*'], { minLength: 1 }), scopes: fc.subarray(['r', 'w'], { minLength: 1 }),
    }, { requiredKeys: ['action', 'paths'] });
    const asked = fc.record({ caller: fc.constantFrom('', web, 'spiffe://shop.example/service/batch'), method: fc.constantFrom('GET', 'PUT'), path: fc.constantFrom('/a', '/a/b', '/c/b', '/', '/c'), scopes: fc.subarray(['r', 'w']) });
    const holds = (one: { callers?: string[]; methods?: string[]; paths: string[]; scopes?: string[] }, x: { caller: string; method: string; path: string; scopes: string[] }): boolean =>
      (one.callers?.some((name) => (name === '*' ? x.caller !== '' : x.caller.endsWith(`/${name}`))) ?? true) && (one.methods?.includes(x.method) ?? true)
      && one.paths.some((path) => ({ '/a': x.path === '/a', '/a/*': x.path.startsWith('/a'), '/{x}/b': /^\/[^/]+\/b$/.test(x.path), '/*': true })[path]) && (one.scopes?.some((scope) => x.scopes.includes(scope)) ?? true);
    fc.assert(fc.property(fc.array(rule, { maxLength: 70 }), asked, (list, x) => {
      const rules = Object.fromEntries(list.map((one, i) => [`r${String(i).padStart(3, '0')}`, one]));
      const denied = list.findIndex((one) => one.action === 'deny' && holds(one, x));
      const allowing = list.filter(({ action }) => action === 'allow');
      const expected = denied >= 0 ? `/rules/r${String(denied).padStart(3, '0')}` : allowing.length === 0 || allowing.some((one) => holds(one, x)) ? 'pass' : 'default';
      expect(build({ rules }).ask(x)).toBe(expected);
    }), { numRuns: 300 });
  });

  test('a service is known by its name once the own trust domain is known, and follows it', () => {
    const { ask, context } = build(allow({ callers: ['web'] }), '');
    expect(ask({ caller: web })).toBe('default');
    context.factBooks.apply({ kind: 'identity', full: true, facts: new Map([['own', Buffer.from('{"trustDomain": "shop.example"}')]]) });
    expect(ask({ caller: web })).toBe('pass');
    context.factBooks.apply({ kind: 'identity', full: true, facts: new Map([['own', Buffer.from('no JSON')]]) });
    expect(ask({ caller: web })).toBe('default');
  });

  test('open tunnels are ended where revoke says so, by the path that was asked for', () => {
    const { filter, context } = build({ ...deny({ paths: ['/ws'] }), revoke: true });
    const x = exchange({ path: '/inner' }, context);
    x.askedPath = '/ws';
    expect(filter?.revoke?.(x)?.pointer).toBe('/rules/a');
    expect('revoke' in (build(deny({ paths: ['/ws'] })).filter ?? {})).toBe(false);
  });
});

describe('a TCP connection', () => {
  test.each<[string, JsonObject, Asked, string]>([
    ['allowed by its caller', allow({ callers: ['web'] }), { caller: web }, 'pass'],
    ['of somebody else', allow({ callers: ['web'] }), {}, 'default'],
    ['denied by its address', deny({ addresses: ['192.0.2.0/24'] }), {}, '/rules/a'],
    ['a rule about all paths', allow({ paths: ['/*'] }), {}, 'default'],
    ['a rule that denies all paths', deny({ paths: ['/*'] }), {}, 'pass'],
    ['a rule about claims', allow({ claims: { sub: 'a' } }), {}, 'default'],
  ])('%s', (_title, section, asked, expected) => {
    const { filter, context } = build({ ...section, revoke: true });
    const x = exchange({ ...asked, method: 'CONNECT' }, context);
    Object.defineProperty(x.head, 'path', { value: '' });
    const shown = (answer: { readonly pointer: string } | null | undefined): string => (answer === null || answer === undefined ? 'pass' : answer.pointer === '' ? 'default' : answer.pointer);
    const verdict = filter?.request?.(x);
    expect(typeof verdict === 'symbol' ? 'waits' : shown(verdict)).toBe(expected);
    expect(shown(filter?.revoke?.(x))).toBe(expected);
  });
});

describe('no spelling of a denied path passes', () => {
  const strict: PathSpellingRules = { allowEncodedSlash: false, allowBackslash: false, mergeSlashes: false, resolveDotSegments: false, allowSemicolon: false, allowEncodedControl: false };
  const lax: PathSpellingRules = { allowEncodedSlash: true, allowBackslash: true, mergeSlashes: true, resolveDotSegments: true, allowSemicolon: true, allowEncodedControl: true };
  const spellings = [
    '/admin', '/admin/', '/admin//', '//admin', '/./admin', '/x/../admin', '/%61dmin', '/admi%6E', '/%61%64%6d%69%6e', '/admin%2f', '/admin%2F', '/%2fadmin', '/x%2f..%2fadmin', '/admin;', '/admin;x=1', '/admin;x/', '/;/admin', '/x/..;/admin', '/x;y/../admin',
    '/%2e/admin', '/x/%2e%2e/admin', '/admin/.', '/admin/x/..', '\\admin', '/\\admin', '/x\\..\\admin', '/admin%5c', '/%5cadmin', '/x%5c..%5cadmin', '/admin%3b', '/admin%3Bx', '/admin%00', '/admin%00.html', '/admin#', '/admin%23', '/%c0%afadmin', '/%2561dmin', '/%25%36%31dmin',
    '/admin%09', '/admin%20', '/admin.', '/ADMIN', '/admin?x=1',
  ];
  const others = new Set(['/admin%23', '/admin%09', '/admin%20', '/admin.', '/ADMIN', '/%25%36%31dmin']);

  test.each(spellings.flatMap((spelling) => [['strict', spelling, strict], ['lax', spelling, lax]] as const))('%s: %s', (_title, spelling, rules) => {
    const { filter, context } = build({ defaultAction: 'allow', ...deny({ paths: ['/admin'] }) });
    const [raw = ''] = spelling.split('?');
    const canonical = canonicalPath(raw, rules);
    if (canonical === '') return;
    const x = exchange({ path: canonical }, context);
    const passes = filter?.request?.(x) === null;
    // Another resource, which the canonical path says as well: encoded white space, a dot, capitals.
    expect(passes, canonical).toBe(others.has(spelling));
  });

  test.each(['/admin/*', '/{any}', '/admin'])('%s denies what is read as it', (path) => {
    const { filter, context } = build({ defaultAction: 'allow', ...deny({ paths: [path] }) });
    for (const spelling of ['/admin/', '/admin;a=b', '/admin%3Ba', '/x%2F..%2Fadmin', '/admin%2F', '/%5Cadmin']) expect(filter?.request?.(exchange({ path: spelling }, context)), spelling).not.toBeNull();
  });

  test('a rule that allows is for the canonical path alone', () => {
    const { ask } = build(allow({ paths: ['/public'] }));
    for (const path of ['/public/', '/public;x', '/x%2F..%2Fpublic', '/public%2F']) expect(ask({ path }), path).toBe('default');
  });
});
