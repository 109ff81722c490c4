import type { Head } from '@remora/http/head';
import { headerId, internHeaderName } from '@remora/http/header-ids';
import { cookieValueAt } from '@remora/policy-kit/cookie-values';
import { queryValueAt } from '@remora/policy-kit/query-values';
import type { GrpcMatch, RouteMatch, ValueMatch, VersionMatch } from './match.ts';
import { compileRegex, undecided, type Regex } from './regex.ts';
import { RouteError } from './route-error.ts';

/**
 * Everything of a match but host and path, as one closure per part, cheapest first. A condition that cannot be evaluated
 * says so: the request is then refused, because whatever else were chosen could be less strict.
 */
export type Condition = (head: Head) => Outcome;
export type Outcome = boolean | typeof undecided;

/** At most this many values of one header, parameter or cookie are looked at; more is undecided. */
export const valuesMax = 64;

export function compileConditions(route: string, match: RouteMatch): readonly Condition[] {
  const conditions: Condition[] = [];
  if (match.methods.length > 0) conditions.push(methodCondition(match.methods));
  if (match.grpc !== null) conditions.push(grpcCondition(match.grpc));
  match.headers.forEach((test, i) => conditions.push(headerCondition(test, { route, pointer: `/match/headers/${i}` })));
  if (match.version !== null) conditions.push(versionCondition(match.version, { route, pointer: '/match/version' }));
  match.query.forEach((test, i) => conditions.push(queryCondition(test, { route, pointer: `/match/query/${i}` })));
  match.cookies.forEach((test, i) => conditions.push(cookieCondition(test, { route, pointer: `/match/cookies/${i}` })));
  return conditions;
}

/** Whether all hold; the first that does not decides, the first undecided one where none fails. */
export function evaluate(conditions: readonly Condition[], head: Head): Outcome {
  let outcome: Outcome = true;
  for (const condition of conditions) {
    const one = condition(head);
    if (one === false) return false;
    if (one === undecided) outcome = undecided;
  }
  return outcome;
}

interface Place {
  readonly route: string;
  readonly pointer: string;
}

function methodCondition(methods: readonly string[]): Condition {
  const [first, second] = methods;
  if (second === undefined) return (head) => head.method === first;
  const set = new Set(methods);
  return (head) => set.has(head.method);
}

function headerCondition(test: ValueMatch, place: Place): Condition {
  const id = headerNameId(test.name, place);
  if (test.kind === 'present') return test.invert ? (head) => !head.has(id) : (head) => head.has(id);
  const passes = valueTest(test, place);
  const wanted = !test.invert;
  return (head) => {
    const count = head.count(id);
    if (count > valuesMax) return undecided;
    for (let nth = 0; nth < count; nth++) {
      const outcome = passes(head.valueAt(id, nth));
      if (outcome !== false) return outcome === undecided ? undecided : wanted;
    }
    return !wanted;
  };
}

function headerNameId(name: string, place: Place): number {
  const id = internHeaderName(name);
  if (id === 0) throw new RouteError(place.route, `${place.pointer}/name`, 'too-many-header-names', 'the configuration names more headers than the sidecar can know');
  return id;
}

function queryCondition(test: ValueMatch, place: Place): Condition {
  return listCondition(test, place, (head, nth) => (head.query === '' ? null : queryValueAt(head.query, test.name, nth)));
}

const cookieId = headerId('cookie');

function cookieCondition(test: ValueMatch, place: Place): Condition {
  return listCondition(test, place, (head, nth) => (head.has(cookieId) ? cookieValueAt(head, test.name, nth) : null));
}

function listCondition(test: ValueMatch, place: Place, valueAt: (head: Head, nth: number) => string | null): Condition {
  const wanted = !test.invert;
  if (test.kind === 'present') return (head) => (valueAt(head, 0) !== null) === wanted;
  const passes = valueTest(test, place);
  return (head) => {
    for (let nth = 0; nth < valuesMax; nth++) {
      const value = valueAt(head, nth);
      if (value === null) return !wanted;
      const outcome = passes(value);
      if (outcome !== false) return outcome === undecided ? undecided : wanted;
    }
    return undecided;
  };
}

function valueTest(test: ValueMatch, place: Place): (value: string) => Outcome {
  const wanted = test.value;
  switch (test.kind) {
    case 'exact': return (value) => value === wanted;
    case 'prefix': return (value) => value.startsWith(wanted);
    case 'regex': {
      const regex = routeRegex(wanted, place);
      return (value) => regex.test(value);
    }
    case 'present': return () => true;
  }
}

/** A pattern of a route; an unacceptable one refuses the table. */
export function routeRegex(pattern: string, place: Place): Regex {
  const regex = compileRegex(pattern);
  if (typeof regex === 'string') throw new RouteError(place.route, `${place.pointer}/regex`, 'invalid-regex', regex);
  return regex;
}

const contentTypeId = headerId('content-type');

function grpcCondition(grpc: GrpcMatch): Condition {
  const { service, method } = grpc;
  return (head) => {
    if (!head.valueAt(contentTypeId, 0).startsWith('application/grpc')) return false;
    const path = head.path;
    const slash = path.indexOf('/', 1);
    if (slash < 0 || path.indexOf('/', slash + 1) >= 0) return false;
    if (service !== '' && !(slash === service.length + 1 && path.startsWith(service, 1))) return false;
    return method === '' || (path.length === slash + 1 + method.length && path.endsWith(method));
  };
}

const acceptId = headerId('accept');

function versionCondition(version: VersionMatch, place: Place): Condition {
  const wanted = version.value;
  const source = version.source;
  switch (source.kind) {
    case 'header': return headerCondition({ name: source.name, kind: 'exact', value: wanted, invert: false }, place);
    case 'query': return queryCondition({ name: source.name, kind: 'exact', value: wanted, invert: false }, place);
    case 'pathSegment': return (head) => segmentIs(head.path, source.segment, wanted);
    case 'mediaTypeParameter': return (head) => acceptsVersion(head, source.name.toLowerCase(), wanted);
  }
}

/** Whether the segment is `2` or `v2` for the version 2. */
function segmentIs(path: string, segment: number, wanted: string): boolean {
  let at = 1;
  for (let i = 0; i < segment; i++) {
    at = path.indexOf('/', at) + 1;
    if (at === 0) return false;
  }
  let end = path.indexOf('/', at);
  if (end < 0) end = path.length;
  if (end - at === wanted.length) return path.startsWith(wanted, at);
  return end - at === wanted.length + 1 && path.charCodeAt(at) === 0x76 && path.startsWith(wanted, at + 1);
}

/** A parameter of any media range of `Accept`: `application/json; version=2` (RFC 9110 section 12.5.1). */
function acceptsVersion(head: Head, parameter: string, wanted: string): Outcome {
  const count = head.count(acceptId);
  if (count > valuesMax) return undecided;
  for (let nth = 0; nth < count; nth++) {
    for (const range of head.valueAt(acceptId, nth).split(',')) {
      for (const piece of range.split(';').slice(1)) {
        const equals = piece.indexOf('=');
        if (equals < 0 || piece.slice(0, equals).trim().toLowerCase() !== parameter) continue;
        if (unquote(piece.slice(equals + 1).trim()) === wanted) return true;
      }
    }
  }
  return false;
}

function unquote(text: string): string {
  return text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
}
