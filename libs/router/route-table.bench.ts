import { buildRequestHead } from '@remora/http/head-builder';
import type { Head } from '@remora/http/head';
import { anyMatch, type PathMatch, type RouteMatch } from './match.ts';
import { compileRegex } from './regex.ts';
import { compileRouteTableSliced, type RouteEntry, type RouteTable } from './route-table.ts';

/** One measured figure. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
}

/** Building a table of 10^5 routes (with the longest of its steps), matching in it, and what a regex costs. */
export function measureRouter(count = 100_000): Figure[] {
  const routes = Array.from({ length: count }, (_, i) => entry(i));
  const startedAt = performance.now();
  const slices = compileRouteTableSliced(routes);
  let longest = 0;
  let table: RouteTable<number> | null = null;
  while (table === null) {
    // Time of this thread: on a busy machine the clock would count the others' work.
    const before = process.threadCpuUsage();
    const step = slices.next();
    const spent = process.threadCpuUsage(before);
    longest = Math.max(longest, (spent.user + spent.system) / 1000);
    if (step.done === true) table = step.value;
  }
  const built = performance.now() - startedAt;
  const last = count - 5;
  return [
    { what: `routes compiled: ${count}`, value: built, unit: 'ms' },
    { what: 'longest step of it, CPU', value: longest, unit: 'ms' },
    { what: 'match, exact', value: matchNs(table, `/exact/${last}/a`), unit: 'ns' },
    { what: 'match, prefix', value: matchNs(table, `/prefix/${last + 1}/orders/42`), unit: 'ns' },
    { what: 'match, template with two variables', value: matchNs(table, `/template/${last + 2}/acme/orders/42`), unit: 'ns' },
    { what: 'match, exact host and prefix', value: matchNs(table, '/hosted/1', `h${last + 3}.example`), unit: 'ns' },
    { what: 'match, other host each time', value: hostsNs(table, count), unit: 'ns' },
    { what: 'match, nothing', value: matchNs(table, '/nothing/of/this'), unit: 'ns' },
    ...regexFigures(),
  ];
}

function entry(i: number): RouteEntry<number> {
  const paths: readonly PathMatch[] = [
    { kind: 'exact', value: `/exact/${i}/a` },
    { kind: 'prefix', value: `/prefix/${i}` },
    { kind: 'template', value: `/template/${i}/{tenant}/orders/{id}` },
    { kind: 'prefix', value: '/hosted' },
    { kind: 'prefix', value: `/with/${i}` },
  ];
  const match: RouteMatch = {
    ...anyMatch,
    path: paths[i % 5] ?? null,
    hosts: i % 5 === 3 ? [`h${i}.example`] : [],
    headers: i % 5 === 4 ? [{ name: 'x-tenant', kind: 'exact', value: 'a', invert: false }] : [],
  };
  return { name: `r${i}`, priority: 0, match, value: i };
}

function matchNs(table: RouteTable<number>, target: string, host = 'shop.example'): number {
  const head = buildRequestHead({ method: 'GET', authority: host, target });
  return fastest(() => table.match(head));
}

function hostsNs(table: RouteTable<number>, count: number): number {
  const heads = Array.from({ length: 512 }, (_, i): Head => buildRequestHead({ method: 'GET', authority: `h${(i * 977 * 5 + 3) % count}.example`, target: '/hosted/x' }));
  let next = 0;
  return fastest(() => table.match(heads[next++ & 511] as Head));
}

const patterns: readonly (readonly [pattern: string, text: string])[] = [
  ['/v1/[a-z]+/orders/[0-9]+', '/v1/acme/orders/12345'],
  ['/api/(?P<tenant>[^/]+)/items/(?P<id>[0-9]+)', '/api/acme/items/77'],
  ['(x+x+)+y', `/${'x'.repeat(200)}`],
];

function regexFigures(): Figure[] {
  return patterns.flatMap(([pattern, text]) => {
    const regex = compileRegex(pattern);
    if (typeof regex === 'string') return [];
    return [
      { what: `regex ${pattern}, size ${regex.size}: test`, value: fastest(() => regex.test(text), 20_000), unit: 'ns' },
      { what: `regex ${pattern}: capture`, value: fastest(() => regex.capture(text), 20_000), unit: 'ns' },
    ];
  });
}

function fastest(run: () => unknown, iterations = 200_000): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    const startedAt = performance.now();
    for (let i = 0; i < iterations; i++) run();
    best = Math.min(best, ((performance.now() - startedAt) * 1e6) / iterations);
  }
  return best;
}
