import type { GrpcMatch, PathMatch, RouteMatch, ValueMatch } from './match.ts';
import { parsePathTemplate, type PathTemplate } from './path-template.ts';
import { compileRegex } from './regex.ts';
import { compareKeys, orderKey, type OrderedRoute } from './route-order.ts';

/**
 * Whether `b` can never be reached because `a` comes before it in the order and matches whatever `b` matches.
 * Conservative: true only where it is certain.
 */
export function shadows(a: OrderedRoute, b: OrderedRoute): boolean {
  return coversHosts(a, b)
    && coversPath(a.match, b.match)
    && coversMethods(a.match.methods, b.match.methods)
    && coversTests(a.match.headers, b.match.headers, true)
    && coversTests(a.match.query, b.match.query, false)
    && coversTests(a.match.cookies, b.match.cookies, false)
    && coversVersion(a.match, b.match)
    && coversGrpc(a.match.grpc, b.match.grpc);
}

/** Every host of `b` is within a host of `a` under which `a` comes first. */
function coversHosts(a: OrderedRoute, b: OrderedRoute): boolean {
  const outer = a.match.hosts.length === 0 ? [''] : a.match.hosts;
  const inner = b.match.hosts.length === 0 ? [''] : b.match.hosts;
  return inner.every((host) => outer.some((wide) => coversHost(wide, host) && compareKeys(orderKey(a, wide), orderKey(b, host)) < 0));
}

function coversHost(wide: string, host: string): boolean {
  if (wide === '' || wide === host) return true;
  return wide.startsWith('*.') && host !== '' && host.replace(/^\*/, 'x').endsWith(wide.slice(1));
}

function coversMethods(outer: readonly string[], inner: readonly string[]): boolean {
  return outer.length === 0 || (inner.length > 0 && inner.every((method) => outer.includes(method)));
}

/** Each test of the outer match follows from a test of the inner one. */
function coversTests(outer: readonly ValueMatch[], inner: readonly ValueMatch[], foldName: boolean): boolean {
  return outer.every((wide) => inner.some((test) => sameName(wide.name, test.name, foldName) && implies(test, wide)));
}

function sameName(a: string, b: string, foldName: boolean): boolean {
  return foldName ? a.toLowerCase() === b.toLowerCase() : a === b;
}

/** Whether what passes `test` passes `wide`. With inversion the roles change: no value passes the wide test. */
function implies(test: ValueMatch, wide: ValueMatch): boolean {
  if (test.invert !== wide.invert) return false;
  return test.invert ? valueImplies(wide, test) : valueImplies(test, wide);
}

function valueImplies(test: ValueMatch, wide: ValueMatch): boolean {
  if (wide.kind === 'present') return true;
  if (test.kind === wide.kind && test.value === wide.value) return true;
  if (wide.kind === 'prefix') return (test.kind === 'exact' || test.kind === 'prefix') && test.value.startsWith(wide.value);
  return wide.kind === 'regex' && test.kind === 'exact' && regexTakes(wide.value, test.value);
}

function regexTakes(pattern: string, text: string): boolean {
  const regex = compileRegex(pattern);
  return typeof regex !== 'string' && regex.test(text) === true;
}

function coversVersion(a: RouteMatch, b: RouteMatch): boolean {
  if (a.version === null) return true;
  return b.version !== null && JSON.stringify(versionKey(a)) === JSON.stringify(versionKey(b));
}

function versionKey(match: RouteMatch): unknown {
  const source = match.version?.source;
  return [match.version?.value, source?.kind, source?.kind === 'pathSegment' ? source.segment : source?.name];
}

function coversGrpc(outer: GrpcMatch | null, inner: GrpcMatch | null): boolean {
  if (outer === null) return true;
  if (inner === null) return false;
  return (outer.service === '' || outer.service === inner.service) && (outer.method === '' || outer.method === inner.method);
}

function coversPath(a: RouteMatch, b: RouteMatch): boolean {
  if (a.path === null) return true;
  return b.path !== null && pathCovers(a.path, b.path);
}

function pathCovers(wide: PathMatch, path: PathMatch): boolean {
  if (wide.kind === path.kind && wide.value === path.value) return true;
  if (wide.kind === 'exact') return false;
  if (wide.kind === 'regex') return path.kind === 'exact' && regexTakes(wide.value, path.value);
  const outer = segmentsOf(wide);
  const inner = segmentsOf(path);
  return outer !== null && inner !== null && segmentsCover(outer, inner);
}

/** Exact paths and prefixes as templates without variables. */
function segmentsOf(path: PathMatch): Pick<PathTemplate, 'segments' | 'rest'> | null {
  switch (path.kind) {
    case 'regex': return null;
    case 'exact': return { segments: path.value.slice(1).split('/'), rest: false };
    case 'prefix': {
      const value = path.value.replace(/\/$/, '');
      return { segments: value === '' ? [] : value.slice(1).split('/'), rest: true };
    }
    case 'template': {
      const template = parsePathTemplate(path.value);
      return typeof template === 'string' ? null : template;
    }
  }
}

function segmentsCover(outer: Pick<PathTemplate, 'segments' | 'rest'>, inner: Pick<PathTemplate, 'segments' | 'rest'>): boolean {
  if (!outer.rest && (inner.rest || outer.segments.length !== inner.segments.length)) return false;
  if (outer.segments.length > inner.segments.length) return false;
  return outer.segments.every((segment, i) => {
    const other = inner.segments[i];
    return segment === null ? other !== '' : segment === other;
  });
}
