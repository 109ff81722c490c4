import * as fc from 'fast-check';
import { buildRequestHead } from '@remora/http/head-builder';
import type { Head } from '@remora/http/head';
import { describe, expect, test } from 'vitest';
import { canonicalMatch } from './canonical-match.ts';
import { anyMatch, type PathMatch, type RouteMatch, type ValueMatch } from './match.ts';
import { compareKeys, orderKey } from './route-order.ts';
import { compileRouteTable, undecided, type RouteEntry, type RouteHit } from './route-table.ts';
import { shadows } from './shadows.ts';

/** The rules of `match.ts` word for word, one route after the other, over plain lists: what the table must agree with. */
function naiveMatch(routes: readonly RouteEntry<string>[], request: Request): string | null {
  const hits = routes.flatMap((route) => (route.match.hosts.length === 0 ? [''] : route.match.hosts)
    .filter((host) => naiveHost(host, request.host) && naiveRest(route.match, request))
    .map((host) => orderKey(route, host)));
  return hits.sort(compareKeys)[0]?.name ?? null;
}

function naiveHost(host: string, asked: string): boolean {
  if (host === '') return true;
  return host.startsWith('*.') ? asked.length > host.length - 1 && asked.endsWith(host.slice(1)) : host === asked;
}

function naiveRest(match: RouteMatch, request: Request): boolean {
  return (match.path === null || naivePath(match.path, request.path))
    && (match.methods.length === 0 || match.methods.includes(request.method))
    && match.headers.every((one) => naiveValue(one, request.headers.filter(([name]) => name === one.name).map(([, value]) => value)))
    && match.query.every((one) => naiveValue(one, request.query.filter(([name]) => name === one.name).map(([, value]) => value)));
}

function naiveValue(one: ValueMatch, values: readonly string[]): boolean {
  const some = values.some((value) => {
    switch (one.kind) {
      case 'exact': return value === one.value;
      case 'prefix': return value.startsWith(one.value);
      case 'regex': return new RegExp(`^(?:${one.value})$`).test(value);
      case 'present': return true;
    }
    return false;
  });
  return some !== one.invert;
}

function naivePath(match: PathMatch, path: string): boolean {
  switch (match.kind) {
    case 'exact': return path === match.value;
    case 'prefix': {
      const stem = match.value.replace(/\/$/, '');
      return path === stem || path.startsWith(`${stem}/`);
    }
    case 'regex': return new RegExp(`^(?:${match.value})$`).test(path);
    case 'template': {
      const pattern = match.value.replace(/\/\{\w+\*\}$/, '(?:/.*)?').replace(/\{\w+\}/g, '[^/]+');
      return new RegExp(`^${pattern}$`).test(path);
    }
  }
}

interface Request {
  readonly host: string;
  readonly path: string;
  readonly method: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly query: readonly (readonly [string, string])[];
}

const segment = fc.constantFrom('a', 'b', 'ab', 'orders');
const pathText = fc.array(segment, { maxLength: 4 }).map((parts) => `/${parts.join('/')}`);
const templateText = fc.array(fc.oneof(segment, fc.constantFrom('{x}', '{y}', '{z}')), { minLength: 1, maxLength: 4 })
  .map((parts) => `/${parts.map((part, i) => (part.startsWith('{') ? `{v${i}}` : part)).join('/')}`);
const pathMatch: fc.Arbitrary<PathMatch> = fc.oneof(
  pathText.map((value) => ({ kind: 'exact' as const, value })),
  fc.tuple(pathText, fc.constantFrom('', '/')).map(([value, slash]) => ({ kind: 'prefix' as const, value: value.endsWith('/') ? value : value + slash })),
  fc.tuple(templateText, fc.constantFrom('', '/{rest*}')).map(([value, rest]) => ({ kind: 'template' as const, value: value + rest })),
  fc.constantFrom('/a.*', '/[ab]/orders', '/(?:a|b)*').map((value) => ({ kind: 'regex' as const, value })),
);
const value = fc.constantFrom('1', '12', '2', '');
const valueMatch: fc.Arbitrary<ValueMatch> = fc.record({
  name: fc.constantFrom('x-a', 'x-b'),
  kind: fc.constantFrom('exact', 'prefix', 'regex', 'present'),
  value,
  invert: fc.boolean(),
}).map((one) => ({ ...one, value: one.kind === 'present' ? '' : one.kind === 'regex' ? `${one.value}2?` : one.value }));
const hosts = fc.constantFrom('a.example', 'b.a.example', '*.example', '*.a.example', 'c');
const routeMatch: fc.Arbitrary<RouteMatch> = fc.record({
  hosts: fc.uniqueArray(hosts, { maxLength: 2 }),
  path: fc.option(pathMatch),
  methods: fc.uniqueArray(fc.constantFrom('GET', 'POST'), { maxLength: 2 }),
  headers: fc.array(valueMatch, { maxLength: 2 }),
  query: fc.array(valueMatch, { maxLength: 1 }),
}).map((parts) => ({ ...anyMatch, ...parts }));
const routesArbitrary = fc.array(fc.record({ priority: fc.constantFrom(0, 0, 0, 1, -1), match: routeMatch }), { maxLength: 12 })
  .map((list) => list.map((route, i): RouteEntry<string> => ({ ...route, name: `r${i}`, value: `r${i}` })));
const pairs = fc.array(fc.tuple(fc.constantFrom('x-a', 'x-b', 'x-c'), value), { maxLength: 3 });
const requestArbitrary: fc.Arbitrary<Request> = fc.record({
  host: fc.constantFrom('a.example', 'b.a.example', 'c', 'd.example', 'example', ''),
  path: fc.tuple(pathText, fc.constantFrom('', '/')).map(([text, slash]) => (text === '/' ? text : text + slash)),
  method: fc.constantFrom('GET', 'POST', 'PUT'),
  headers: pairs,
  query: pairs,
});

function headOf(request: Request, port = ''): Head {
  const query = request.query.map(([name, text]) => `${name}=${text}`).join('&');
  return buildRequestHead({ method: request.method, authority: request.host + port, target: query === '' ? request.path : `${request.path}?${query}`, headers: request.headers });
}

/** A hit without what the table keeps beside it. */
function saidBy(hit: RouteHit<string> | typeof undecided | null): unknown {
  return hit === null || hit === undecided ? hit : [hit.value, hit.pathNames, hit.pathValues];
}

describe('compileRouteTable', () => {
  test('answers what the rules say', () => {
    fc.assert(fc.property(routesArbitrary, fc.array(requestArbitrary, { minLength: 1, maxLength: 8 }), (routes, requests) => {
      const table = compileRouteTable(routes);
      for (const request of requests) {
        const hit = table.match(headOf(request, request.host === '' ? '' : ':8080'));
        expect(hit).not.toBe(undecided);
        expect(hit === null || hit === undecided ? null : hit.value).toBe(naiveMatch(routes, request));
      }
    }), { numRuns: 1_000 });
  });

  test('does not depend on the order of the routes', () => {
    fc.assert(fc.property(routesArbitrary, requestArbitrary, (routes, request) => {
      const hit = compileRouteTable(routes).match(headOf(request));
      const other = compileRouteTable([...routes].reverse()).match(headOf(request));
      expect(saidBy(other)).toEqual(saidBy(hit));
    }), { numRuns: 200 });
  });
});

describe('shadows', () => {
  test('a route that is said to be shadowed never wins', () => {
    fc.assert(fc.property(routesArbitrary, fc.array(requestArbitrary, { minLength: 20, maxLength: 20 }), (routes, requests) => {
      const hidden = routes.filter((b) => routes.some((a) => a !== b && shadows(a, b))).map((route) => route.name);
      for (const request of requests) expect(hidden).not.toContain(naiveMatch(routes, request));
    }), { numRuns: 500 });
  });
});

/** The same match, written otherwise. */
function respell(match: RouteMatch): RouteMatch {
  const path = match.path;
  return {
    ...match,
    hosts: [...match.hosts, ...match.hosts].reverse(),
    methods: [...match.methods].reverse(),
    headers: [...match.headers].reverse(),
    query: [...match.query, ...match.query],
    path: path?.kind === 'prefix' ? { kind: 'prefix', value: path.value.endsWith('/') && path.value !== '/' ? path.value.slice(0, -1) : path.value }
      : path?.kind === 'template' ? { kind: 'template', value: path.value.replaceAll('{v', '{w') } : path,
  };
}

describe('canonicalMatch', () => {
  test('another spelling has the same text, and takes the same requests', () => {
    fc.assert(fc.property(routeMatch, requestArbitrary, (a, request) => {
      const b = respell(a);
      expect(canonicalMatch(b)).toBe(canonicalMatch(a));
      const [one, two] = [a, b].map((match) => compileRouteTable([{ name: 'r', priority: 0, match, value: 'r' }]).match(headOf(request)));
      expect(two === null).toBe(one === null);
    }), { numRuns: 300 });
  });

  test('order, case, repetition and names of variables make no difference', () => {
    const a = { ...anyMatch, hosts: ['B.example', 'a.example'], methods: ['PUT', 'GET'], path: { kind: 'template', value: '/o/{id}' } } as const;
    const b = { ...anyMatch, hosts: ['a.example', 'b.example', 'a.example'], methods: ['GET', 'PUT'], path: { kind: 'template', value: '/o/{order}' } } as const;
    expect(canonicalMatch(a)).toBe(canonicalMatch(b));
  });
});
