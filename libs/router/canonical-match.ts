import { canonicalJson, type Json } from '@remora/core/canonical-json';
import type { PathMatch, RouteMatch, ValueMatch } from './match.ts';
import { parsePathTemplate } from './path-template.ts';

/**
 * Text that is equal for matches that take the same requests by construction: order, repetition, case of hosts and header
 * names, trailing slash of a prefix, names of a template's variables and spellings of the same thing make no difference.
 */
export function canonicalMatch(match: RouteMatch): string {
  return canonicalJson({
    hosts: sortedSet(match.hosts.map((host) => host.toLowerCase())),
    path: match.path === null ? null : canonicalPath(match.path),
    methods: sortedSet(match.methods),
    headers: canonicalTests(match.headers, true),
    query: canonicalTests(match.query, false),
    cookies: canonicalTests(match.cookies, false),
    version: match.version === null ? null : { value: match.version.value, source: { ...match.version.source } },
    grpc: match.grpc === null ? null : { ...match.grpc },
  });
}

/** The same path in one spelling: `/a/{x}` and `/a/{y}`; `/a/` and `/a` as prefixes; a template without variables is exact. */
export function canonicalPath(path: PathMatch): Json {
  switch (path.kind) {
    case 'exact':
    case 'regex': return { kind: path.kind, value: path.value };
    case 'prefix': return { kind: 'prefix', value: path.value.replace(/\/$/, '') };
    case 'template': {
      const template = parsePathTemplate(path.value);
      if (typeof template === 'string') return { kind: 'template', value: path.value };
      const literals = template.segments.every((segment) => segment !== null);
      const value = template.segments.map((segment) => `/${segment ?? '{}'}`).join('');
      if (literals) return template.rest ? { kind: 'prefix', value } : { kind: 'exact', value };
      return { kind: 'template', value: template.rest ? `${value}/{*}` : value };
    }
  }
}

/** One test of a header, parameter or cookie in one spelling. */
export function canonicalTest(test: ValueMatch, foldName: boolean): string {
  const name = foldName ? test.name.toLowerCase() : test.name;
  return canonicalJson([name, test.kind, test.kind === 'present' ? '' : test.value, test.invert]);
}

function canonicalTests(tests: readonly ValueMatch[], foldName: boolean): string[] {
  return sortedSet(tests.map((test) => canonicalTest(test, foldName)));
}

function sortedSet(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}
