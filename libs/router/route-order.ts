import type { RouteMatch } from './match.ts';
import { parsePathTemplate } from './path-template.ts';

/**
 * The total order of Routes; the first that matches a request takes it. In this order:
 * 1. higher `priority`;
 * 2. host: exact, then the longer suffix, then any. A Route with several hosts stands once for each of them;
 * 3. path: exact; then prefix and template by the number of literal characters (at equal length the template first, one
 *    that ends in `{rest*}` after others); then regex, the longer pattern first; then none. A gRPC match counts as
 *    the path that it stands for;
 * 4. more of the other conditions (methods count once, each header, query parameter and cookie, version, gRPC);
 * 5. the name, in code unit order.
 * Negative where `a` comes first.
 */
export function compareRoutes(a: OrderedRoute, b: OrderedRoute): number {
  return compareKeys(strongestKey(a), strongestKey(b));
}

export interface OrderedRoute {
  readonly name: string;
  readonly priority: number;
  readonly match: RouteMatch;
}

/** The order of one Route for one of its hosts, as comparable values; see `compareRoutes`. */
export interface OrderKey {
  readonly priority: number;
  /** 2^20 for exact, the length of a suffix, 0 for any. */
  readonly host: number;
  /** 3 exact, 2 prefix and template, 1 regex, 0 none. */
  readonly pathKind: number;
  readonly pathLength: number;
  /** Among equal lengths: 2 template, 1 template with rest, 0 prefix. */
  readonly pathShape: number;
  readonly conditions: number;
  readonly name: string;
}

const exactHost = 1_048_576;

/** Key of a route for one host; '' for any. */
export function orderKey(route: OrderedRoute, host: string): OrderKey {
  const path = pathKey(route.match);
  return {
    priority: route.priority,
    host: host === '' ? 0 : host.startsWith('*.') ? host.length - 1 : exactHost,
    pathKind: path.kind,
    pathLength: path.length,
    pathShape: path.shape,
    conditions: countConditions(route.match),
    name: route.name,
  };
}

export function compareKeys(a: OrderKey, b: OrderKey): number {
  return b.priority - a.priority || b.host - a.host || b.pathKind - a.pathKind || b.pathLength - a.pathLength
    || b.pathShape - a.pathShape || b.conditions - a.conditions || compareNames(a.name, b.name);
}

function compareNames(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function strongestKey(route: OrderedRoute): OrderKey {
  const hosts = route.match.hosts.length === 0 ? [''] : route.match.hosts;
  return hosts.map((host) => orderKey(route, host)).reduce((best, key) => (compareKeys(key, best) < 0 ? key : best));
}

function pathKey(match: RouteMatch): { kind: number; length: number; shape: number } {
  const path = match.path;
  if (path === null) return grpcPathKey(match);
  switch (path.kind) {
    case 'exact': return { kind: 3, length: path.value.length, shape: 0 };
    case 'prefix': return { kind: 2, length: path.value === '/' ? 1 : path.value.replace(/\/$/, '').length, shape: 0 };
    case 'regex': return { kind: 1, length: path.value.length, shape: 0 };
    case 'template': {
      const template = parsePathTemplate(path.value);
      if (typeof template === 'string') return { kind: 2, length: path.value.length, shape: 0 };
      return { kind: 2, length: template.literalLength, shape: template.rest ? 1 : 2 };
    }
  }
}

function grpcPathKey(match: RouteMatch): { kind: number; length: number; shape: number } {
  const grpc = match.grpc;
  if (grpc === null || grpc.service === '') return { kind: 0, length: 0, shape: 0 };
  if (grpc.method === '') return { kind: 2, length: grpc.service.length + 1, shape: 0 };
  return { kind: 3, length: grpc.service.length + grpc.method.length + 2, shape: 0 };
}

function countConditions(match: RouteMatch): number {
  return (match.methods.length > 0 ? 1 : 0) + match.headers.length + match.query.length + match.cookies.length
    + (match.version === null ? 0 : 1) + (match.grpc === null ? 0 : 1);
}
