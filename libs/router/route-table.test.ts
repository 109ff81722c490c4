import { buildRequestHead, type HeaderList } from '@remora/http/head-builder';
import { describe, expect, test } from 'vitest';
import { anyMatch, type RouteMatch } from './match.ts';
import { regexTextMax } from './regex.ts';
import { RouteError } from './route-error.ts';
import { compareRoutes } from './route-order.ts';
import { compileRouteTable, compileRouteTableSliced, regexesMax, undecided, type RouteEntry } from './route-table.ts';
import { shadows } from './shadows.ts';

function route(name: string, match: Partial<RouteMatch>, priority = 0): RouteEntry<string> {
  return { name, priority, match: { ...anyMatch, ...match }, value: name };
}

interface Asked {
  readonly method?: string;
  readonly host?: string;
  readonly target?: string;
  readonly headers?: HeaderList;
}

function ask(routes: readonly RouteEntry<string>[], asked: Asked): string | null {
  const hit = compileRouteTable(routes).match(headOf(asked));
  if (hit === undecided) return 'undecided';
  return hit === null ? null : [hit.value, ...hit.pathNames.map((name, i) => `${name}=${hit.pathValues[i] ?? ''}`)].join(' ');
}

function headOf({ method = 'GET', host = 'shop.example', target = '/', headers = {} }: Asked) {
  return buildRequestHead({ method, authority: host, target, headers });
}

const exact = (value: string) => ({ path: { kind: 'exact' as const, value } });
const prefix = (value: string) => ({ path: { kind: 'prefix' as const, value } });
const template = (value: string) => ({ path: { kind: 'template' as const, value } });
const regex = (value: string) => ({ path: { kind: 'regex' as const, value } });

describe('the order', () => {
  const ordered = [
    route('priority', {}, 1),
    route('exact-host', { hosts: ['a.example'] }),
    route('long-suffix', { hosts: ['*.b.example'] }),
    route('short-suffix', { hosts: ['*.example'] }),
    route('exact-path', exact('/orders/7')),
    route('long-prefix', prefix('/orders/7/items')),
    route('prefix-by-length', prefix('/orders/seven')),
    route('template', template('/orders/{id}/abc')),
    route('rest-template', template('/orders/{x}/ab/{rest*}')),
    route('same-length-prefix', prefix('/orders/sevn')),
    route('short-prefix', prefix('/orders')),
    route('longer-regex', regex('/ord.*s')),
    route('regex', regex('/o.*')),
    route('more-conditions', { methods: ['GET'], headers: [{ name: 'x', kind: 'present', value: '', invert: false }] }),
    route('fewer-conditions', { methods: ['GET', 'POST'] }),
    route('a', {}),
    route('b', {}),
  ];

  test('is total and as documented', () => {
    expect([...ordered].reverse().sort(compareRoutes).map((entry) => entry.name)).toEqual(ordered.map((entry) => entry.name));
    for (const a of ordered) for (const b of ordered) expect(Math.sign(compareRoutes(a, b)) + Math.sign(compareRoutes(b, a))).toBe(0);
  });
});

describe('hosts', () => {
  const routes = [route('exact', { hosts: ['api.shop.example'] }), route('suffix', { hosts: ['*.shop.example'] }), route('v6', { hosts: ['[::1]'] }), route('any', {})];
  test.each([
    ['api.shop.example', 'exact'], ['api.shop.example:8443', 'exact'], ['api.shop.example.', 'exact'], ['API.shop.example', 'exact'],
    ['a.b.shop.example', 'suffix'], ['shop.example', 'any'], ['xshop.example', 'any'], ['[::1]:80', 'v6'], ['', 'any'],
    [`${'a.'.repeat(20_000)}shop.example`, 'suffix'],
  ])('%s', (host, wanted) => expect(ask(routes, { host })).toBe(wanted));
});

describe('paths', () => {
  const routes = [
    route('exact', exact('/a')), route('root', exact('/')), route('slash', prefix('/s/')), route('tenant', template('/v1/{tenant}/orders/{id}')),
    route('files', template('/files/{bucket}/{path*}')), route('numbers', regex('/n/(?P<number>[0-9]+)(?:/(?P<tail>.*))?')), route('words', prefix('/n')),
  ];
  test.each([
    ['/a', 'exact'], ['/a/', null], ['/', 'root'], ['/s', 'slash'], ['/s/', 'slash'], ['/s/x', 'slash'], ['/sx', null],
    ['/v1/acme/orders/7', 'tenant tenant=acme id=7'], ['/v1//orders/7', null], ['/v1/acme/orders/', null], ['/v1/acme/orders/7/x', null],
    ['/v1/a%20b/orders/__proto__', 'tenant tenant=a%20b id=__proto__'],
    ['/files/b', 'files bucket=b path='], ['/files/b/', 'files bucket=b path='], ['/files/b/c/d', 'files bucket=b path=c/d'], ['/files/', null],
    ['/n/12', 'words'], ['*', null],
  ])('%s', (target, wanted) => expect(ask(routes, { target })).toBe(wanted));

  test('named groups of a regex are variables, also those that took no part', () => {
    expect(ask(routes.slice(5, 6), { target: '/n/12' })).toBe('numbers number=12 tail=');
    expect(ask(routes.slice(5, 6), { target: '/n/12/x/y' })).toBe('numbers number=12 tail=x/y');
  });

  test('priority goes before everything', () => {
    expect(ask([...routes, route('first', prefix('/'), 5)], { target: '/a' })).toBe('first');
  });

  test('hits without variables are one object', () => {
    const table = compileRouteTable(routes);
    expect(table.match(headOf({ target: '/a' }))).toBe(table.match(headOf({ target: '/a' })));
  });
});

describe('conditions', () => {
  const one = (parts: Partial<RouteMatch>) => [route('hit', parts)];
  const value = (kind: 'exact' | 'prefix' | 'regex' | 'present', text = '', invert = false) => ({ name: 'x-a', kind, value: text, invert });

  test.each([
    [value('exact', 'b'), [['X-A', 'a'], ['x-a', 'b']], true],
    [value('exact', 'b', true), [['x-a', 'a'], ['x-a', 'b']], false],
    [value('exact', 'b', true), [], true],
    [value('prefix', 'ab'), [['x-a', 'abc']], true],
    [value('regex', 'a+'), [['x-a', 'aab']], false],
    [value('regex', 'a+'), [['x-a', 'aa']], true],
    [value('present'), [['x-a', '']], true],
    [value('present', '', true), [['x-a', '']], false],
    [value('exact', ''), [], false],
  ] as const)('header %j on %j', (test, headers, wanted) => {
    expect(ask(one({ headers: [test] }), { headers })).toBe(wanted ? 'hit' : null);
  });

  test.each([
    [value('exact', '1'), '/?x-a=2&x-a=1', true],
    [value('exact', '1'), '/?x%2da=1', true],
    [value('present', '', true), '/?x-b=1', true],
    [value('present'), '/', false],
    [value('prefix', 'a b'), '/?x-a=a+bc', true],
  ] as const)('query %j on %s', (test, target, wanted) => {
    expect(ask(one({ query: [test] }), { target })).toBe(wanted ? 'hit' : null);
  });

  test('cookies over several fields', () => {
    const cookies = one({ cookies: [{ name: 'b', kind: 'exact', value: '2', invert: false }] });
    expect(ask(cookies, { headers: [['cookie', 'a=1'], ['cookie', 'xb=2;b=2 ; c=3']] })).toBe('hit');
    expect(ask(cookies, { headers: [['cookie', 'a=1; xb=2']] })).toBeNull();
  });

  test('versions', () => {
    const version = (source: NonNullable<RouteMatch['version']>['source']) => one({ version: { value: '2', source } });
    expect(ask(version({ kind: 'header', name: 'x-version' }), { headers: { 'x-version': '2' } })).toBe('hit');
    expect(ask(version({ kind: 'query', name: 'v' }), { target: '/?v=2' })).toBe('hit');
    expect(ask(version({ kind: 'pathSegment', segment: 1 }), { target: '/api/v2/orders' })).toBe('hit');
    expect(ask(version({ kind: 'pathSegment', segment: 1 }), { target: '/api/2' })).toBe('hit');
    expect(ask(version({ kind: 'pathSegment', segment: 1 }), { target: '/api/v22' })).toBeNull();
    expect(ask(version({ kind: 'pathSegment', segment: 5 }), { target: '/api/v2' })).toBeNull();
    expect(ask(version({ kind: 'mediaTypeParameter', name: 'version' }), { headers: { accept: 'text/html, application/json; Version="2"' } })).toBe('hit');
    expect(ask(version({ kind: 'mediaTypeParameter', name: 'version' }), { headers: { accept: 'application/json;version=3' } })).toBeNull();
  });

  test('gRPC', () => {
    const grpc = (service: string, method: string) => one({ grpc: { service, method } });
    const headers = { 'content-type': 'application/grpc+proto' };
    expect(ask(grpc('shop.Orders', 'Get'), { target: '/shop.Orders/Get', headers })).toBe('hit');
    expect(ask(grpc('shop.Orders', ''), { target: '/shop.Orders/List', headers })).toBe('hit');
    expect(ask(grpc('', 'Get'), { target: '/any.Thing/Get', headers })).toBe('hit');
    expect(ask(grpc('shop.Orders', 'Get'), { target: '/shop.Orders/Get' })).toBeNull();
    expect(ask(grpc('shop.Orders', ''), { target: '/shop.OrdersX/Get', headers })).toBeNull();
    expect(ask(grpc('shop.Orders', ''), { target: '/shop.Orders/a/b', headers })).toBeNull();
  });
});

describe('what cannot be decided is refused, not passed to a later route', () => {
  const long = `/${'a'.repeat(regexTextMax)}`;
  test('a path that is too long for a regex', () => {
    expect(ask([route('strict', regex('/a+')), route('lax', {})], { target: long })).toBe('undecided');
    expect(ask([route('strict', regex('/a+'))], { target: long })).toBe('undecided');
  });

  test('a value that is too long, also with invert', () => {
    const strict = (invert: boolean) => route('strict', { headers: [{ name: 'x-a', kind: 'regex', value: 'a+', invert }] });
    for (const invert of [false, true]) expect(ask([strict(invert), route('lax', {})], { headers: { 'x-a': long } })).toBe('undecided');
  });

  test('more values than are looked at', () => {
    const strict = route('strict', { headers: [{ name: 'x-a', kind: 'exact', value: 'b', invert: false }] });
    const headers = Array.from({ length: 65 }, () => ['x-a', 'a'] as const);
    expect(ask([strict, route('lax', {})], { headers })).toBe('undecided');
  });

  test('not where the undecided route would not have won', () => {
    expect(ask([route('sure', { path: { kind: 'exact', value: long } }), route('strict', regex('/a+'))], { target: long })).toBe('sure');
    expect(ask([route('strict', { ...regex('/a+'), methods: ['PUT'] }), route('lax', {})], { target: '/b' })).toBe('lax');
  });
});

describe('what cannot be built is refused by route and field', () => {
  test.each([
    [regex('('), '/match/path/regex', 'invalid-regex'],
    [regex('a{900}'), '/match/path/regex', 'invalid-regex'],
    [regex('(?=a)'), '/match/path/regex', 'invalid-regex'],
    [regex('x'.repeat(1025)), '/match/path/regex', 'invalid-regex'],
    [template('/a/{b*}/c'), '/match/path/template', 'invalid-template'],
    [template('/{a}/{a}'), '/match/path/template', 'invalid-template'],
    [template('/x{a}'), '/match/path/template', 'invalid-template'],
    [exact('a'), '/match/path', 'invalid-path'],
    [{ headers: [{ name: 'x', kind: 'regex', value: '[', invert: false }] }, '/match/headers/0/regex', 'invalid-regex'],
  ] as const)('%j', (match, pointer, code) => {
    let caught: unknown;
    try {
      compileRouteTable([route('fine', {}), route('bad', match)]);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(RouteError);
    expect(caught).toMatchObject({ route: 'bad', pointer, code });
  });

  test('too many patterns', () => {
    const routes = Array.from({ length: regexesMax + 1 }, (_, i) => route(`r${i}`, regex(`/a${i % 10}`)));
    expect(() => compileRouteTable(routes)).toThrow(RouteError);
  });
});

test('a large table is built in many short steps', () => {
  const routes = Array.from({ length: 20_000 }, (_, i) => route(`r${i}`, { hosts: i % 3 === 0 ? [`h${i % 50}.example`] : [], ...prefix(`/api/${i % 1000}/${i}`) }));
  const slices = compileRouteTableSliced(routes);
  let steps = 0;
  let step = slices.next();
  while (step.done !== true) {
    steps += 1;
    step = slices.next();
  }
  expect(steps).toBeGreaterThan(100);
  const hit = step.value.match(headOf({ target: '/api/7/7/x', host: 'h7.example' }));
  expect(hit !== null && hit !== undecided && hit.value).toBe('r7');
});

describe('shadows', () => {
  test.each([
    [route('a', { ...prefix('/a'), methods: ['GET', 'PUT'] }), route('b', { ...prefix('/a'), methods: ['GET'] }), true],
    [route('a', { ...prefix('/a'), methods: ['GET'] }), route('b', { ...prefix('/a'), methods: ['GET', 'PUT'] }), false],
    [route('a', prefix('/a'), 1), route('b', exact('/a/b')), true],
    [route('a', prefix('/a')), route('b', exact('/a/b')), false],
    [route('a', template('/{x}/{y}'), 1), route('b', template('/o/{id}')), true],
    [route('a', template('/{x}/{rest*}'), 1), route('b', prefix('/o/7')), true],
    [route('a', regex('/a+'), 1), route('b', exact('/aaa')), true],
    [route('a', regex('/a+'), 1), route('b', prefix('/aaa')), false],
    [route('a', { hosts: ['*.example'] }, 1), route('b', { hosts: ['a.example', '*.b.example'] }), true],
    [route('a', { hosts: ['*.example'] }, 1), route('b', { hosts: ['a.example', 'c'] }), false],
    [route('a', { headers: [{ name: 'X', kind: 'present', value: '', invert: false }] }, 1), route('b', { headers: [{ name: 'x', kind: 'exact', value: '1', invert: false }] }), true],
    [route('a', { headers: [{ name: 'x', kind: 'exact', value: '1', invert: true }] }, 1), route('b', { headers: [{ name: 'x', kind: 'present', value: '', invert: true }] }), true],
  ])('%#', (a, b, wanted) => expect(shadows(a, b)).toBe(wanted));
});
