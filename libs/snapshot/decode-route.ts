import {
  Scope,
  type Forward,
  type Match,
  type PathMatch as WirePath,
  type Redirect,
  type Respond,
  type Rewrite,
  type Route,
  type ValueMatch as WireTest,
  type VersionMatch as WireVersionTest,
  type WeightedTarget,
} from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { anyMatch, type PathMatch, type RouteMatch, type ValueMatch, type VersionMatch } from '@remora/router/match';
import { parsePathTemplate } from '@remora/router/path-template';
import { listLengthMax, none, type FieldCheck } from './field-check.ts';
import type { CallerSettings, ForwardTarget, RouteAction, RouteDefinition, RouteRewrite, RouteScope } from './route-definition.ts';
import type { SettingsLookup } from './settings-lookup.ts';

const regexLengthMax = 1_024;
const respondBodyBytesMax = 65_536;
const delayMsMax = 3_600_000;
const weightMax = 1_000_000;
const noBytes = new Uint8Array(0);

/** Wire Route to a frozen definition; pointers are those of the Route document. */
export function decodeRoute(wire: Route, hash: string, check: FieldCheck, settings: SettingsLookup): RouteDefinition {
  const scope = decodeScope(wire.scope, check);
  return Object.freeze({
    hash,
    id: `${scope}/${wire.owner}/${wire.name}`,
    name: check.required(wire.name, '/name'),
    owner: check.required(wire.owner, `/${scope === 'gateway' ? 'gateway' : 'service'}`),
    scope,
    ports: check.texts(wire.ports, '/ports'),
    priority: check.range(wire.priority, '/priority', { min: -1_000_000, max: 1_000_000 }),
    match: decodeMatch(wire.match, check),
    action: decodeAction(wire, scope, check),
    rewrite: decodeRewrite(wire.rewrite, '/rewrite', check),
    settings: settings.find(wire.settings, check),
    callerOverrides: decodeOverrides(wire, scope, check, settings),
  });
}

function decodeScope(scope: Scope, check: FieldCheck): RouteScope {
  if (scope === Scope.SCOPE_INBOUND) return 'inbound';
  if (scope === Scope.SCOPE_OUTBOUND) return 'outbound';
  if (scope !== Scope.SCOPE_GATEWAY) check.fail('', 'invalid-value', `has the unknown scope ${scope}`);
  return 'gateway';
}

function decodeOverrides(wire: Route, scope: RouteScope, check: FieldCheck, settings: SettingsLookup): readonly CallerSettings[] {
  check.count(wire.callerOverrides, '/to');
  if (scope !== 'gateway' && wire.callerOverrides.length > 0) {
    check.fail('/to', 'invalid-value', 'only a Gateway\'s Route has settings of its own for destinations');
  }
  if (wire.callerOverrides.length === 0) return none;
  return Object.freeze(wire.callerOverrides.map((override) => Object.freeze({
    service: check.required(override.service, '/to'),
    route: check.text(override.route, '/to'),
    settings: settings.find(override.settings, check),
  })));
}

function decodeMatch(wire: Match | undefined, check: FieldCheck): RouteMatch {
  if (wire === undefined) return anyMatch;
  check.count(wire.methods, '/match/methods', 64);
  return Object.freeze({
    hosts: check.texts(wire.hosts, '/match/hosts'),
    path: decodePath(wire.path, check),
    methods: wire.methods.length === 0 ? none : Object.freeze(wire.methods.map((method, i) => check.token(method, `/match/methods/${i}`))),
    headers: decodeTests(wire.headers, '/match/headers', check),
    query: decodeTests(wire.query, '/match/query', check),
    cookies: decodeTests(wire.cookies, '/match/cookies', check),
    version: decodeVersionTest(wire.version, check),
    grpc: wire.grpc === undefined
      ? null
      : Object.freeze({ service: check.text(wire.grpc.service, '/match/grpc/service'), method: check.text(wire.grpc.method, '/match/grpc/method') }),
  });
}

function decodePath(wire: WirePath | undefined, check: FieldCheck): PathMatch | null {
  if (wire === undefined) return null;
  if (wire.kind === undefined) {
    check.fail('/match/path', 'missing', 'must say exact, prefix, template or regex');
    return null;
  }
  const { $case: kind, value } = wire.kind;
  const pointer = `/match/path/${kind}`;
  if (kind === 'regex') check.text(value, pointer, regexLengthMax);
  else if (!check.required(value, pointer).startsWith('/')) check.fail(pointer, 'invalid-value', 'must start with /');
  else if (kind === 'template') checkTemplate(value, pointer, check);
  return Object.freeze({ kind, value });
}

/** Patterns are compiled once, by the workers that use them; templates cost nothing to check. */
function checkTemplate(value: string, pointer: string, check: FieldCheck): void {
  const parsed = parsePathTemplate(value);
  if (typeof parsed === 'string') check.fail(pointer, 'invalid-value', parsed);
}

function decodeTests(wire: readonly WireTest[], pointer: string, check: FieldCheck): readonly ValueMatch[] {
  if (wire.length === 0) return none;
  check.count(wire, pointer, 64);
  return Object.freeze(wire.map((test) => decodeTest(test, pointer, check)));
}

function decodeTest(wire: WireTest, base: string, check: FieldCheck): ValueMatch {
  const name = check.required(wire.name, base);
  const pointer = `${base}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const { invert } = wire;
  if (wire.kind === undefined) {
    check.fail(pointer, 'missing', 'must say exact, prefix, regex or present');
    return Object.freeze({ name, kind: 'present', value: '', invert });
  }
  if (wire.kind.$case === 'present') {
    // `present: false` and `invert` say the same; the domain has one spelling.
    return Object.freeze({ name, kind: 'present', value: '', invert: wire.kind.value ? invert : !invert });
  }
  const { $case: kind, value } = wire.kind;
  check.text(value, `${pointer}/${kind}`, kind === 'regex' ? regexLengthMax : undefined);
  return Object.freeze({ name, kind, value, invert });
}

function decodeVersionTest(wire: WireVersionTest | undefined, check: FieldCheck): VersionMatch | null {
  if (wire === undefined) return null;
  const value = check.required(wire.value, '/match/version/value');
  if (wire.source === undefined) {
    check.fail('/match/version', 'missing', 'must say where the version is: header, query, pathSegment or mediaTypeParameter');
    return null;
  }
  if (wire.source.$case === 'pathSegment') {
    const segment = check.range(wire.source.value, '/match/version/pathSegment', { min: 0, max: 64 });
    return Object.freeze({ value, source: Object.freeze({ kind: 'pathSegment', segment }) });
  }
  const { $case: kind, value: name } = wire.source;
  check.required(name, `/match/version/${kind}`);
  return Object.freeze({ value, source: Object.freeze({ kind, name }) });
}

function decodeAction(wire: Route, scope: RouteScope, check: FieldCheck): RouteAction {
  const { action } = wire;
  switch (action?.$case) {
    case 'forward':
      return decodeForward(action.value, scope, check);
    case 'redirect':
      return decodeRedirect(action.value, check);
    case 'respond':
      return decodeRespond(action.value, check);
    case undefined:
      check.fail('', 'missing', 'must have one of to, redirect, respond');
      return Object.freeze({ kind: 'forward', targets: none, stickyHeader: '' });
  }
}

function decodeForward({ targets, stickyHeader }: Forward, scope: RouteScope, check: FieldCheck): RouteAction {
  check.count(targets, '/to', 256);
  // An inbound side never connects to anything but its own app, so a target there would be a lie.
  if (scope === 'gateway' && targets.length === 0) check.fail('/to', 'missing', 'must name at least one destination');
  return Object.freeze({
    kind: 'forward', targets: targets.length === 0 ? none : Object.freeze(targets.map((target, i) => decodeTarget(target, i, scope, check))),
    stickyHeader: stickyHeader === '' ? '' : check.token(stickyHeader, '/sticky/header'),
  });
}

function decodeTarget(wire: WeightedTarget, index: number, scope: RouteScope, check: FieldCheck): ForwardTarget {
  const pointer = `/to/${index}`;
  if (scope === 'gateway') check.required(wire.service, `${pointer}/service`);
  else if (wire.service !== '') check.fail(`${pointer}/service`, 'invalid-value', 'a Service\'s Route chooses among its own instances only');
  check.count(wire.labels, `${pointer}/labels`, 64);
  const labels = wire.labels.length === 0 ? none : wire.labels.map(({ key, value }) => `${check.required(key, `${pointer}/labels`)}=${check.text(value, `${pointer}/labels/${key}`)}`);
  return Object.freeze({
    service: wire.service,
    port: check.text(wire.port, `${pointer}/port`),
    labels: labels === none ? none : Object.freeze([...labels].sort()),
    weight: check.range(wire.weight, `${pointer}/weight`, { min: 0, max: weightMax }),
  });
}

function decodeRedirect(wire: Redirect, check: FieldCheck): RouteAction {
  return Object.freeze({
    kind: 'redirect',
    status: check.range(wire.status, '/redirect/status', { min: 300, max: 399 }),
    scheme: check.oneOf(wire.scheme, ['', 'http', 'https'], '/redirect/scheme'),
    host: check.text(wire.host, '/redirect/host'),
    port: check.range(wire.port, '/redirect/port', { min: 0, max: 65_535 }),
    rewrite: decodeRewrite(wire.rewrite, '/redirect', check),
    keepQuery: wire.keepQuery,
  });
}

function decodeRespond(wire: Respond, check: FieldCheck): RouteAction {
  check.count(wire.headers, '/respond/headers', 256);
  if (wire.body.length > respondBodyBytesMax) {
    check.fail('/respond/body', 'too-long', `must have at most ${respondBodyBytesMax} bytes, has ${wire.body.length}`);
  }
  return Object.freeze({
    kind: 'respond',
    status: check.range(wire.status, '/respond/status', { min: 200, max: 599 }),
    headers: wire.headers.length === 0 ? none : Object.freeze(wire.headers.map(({ name, value }) => Object.freeze({
      name: check.token(name, '/respond/headers'),
      value: check.text(value, `/respond/headers/${name}`),
    }))),
    // Bytes of the message would keep all of it.
    body: wire.body.length === 0 ? noBytes : new Uint8Array(wire.body),
    contentType: check.text(wire.contentType, '/respond/contentType'),
    delayMs: check.range(wire.delayMs, '/respond/delay', { min: 0, max: delayMsMax }),
  });
}

function decodeRewrite(wire: Rewrite | undefined, pointer: string, check: FieldCheck): RouteRewrite | null {
  if (wire === undefined) return null;
  return Object.freeze({ path: decodeRewritePath(wire.path, pointer, check), host: check.text(wire.host, `${pointer}/host`) });
}

function decodeRewritePath(wire: Rewrite['path'], pointer: string, check: FieldCheck): RouteRewrite['path'] {
  if (wire === undefined) return null;
  if (wire.$case === 'stripSegments') {
    const segments = check.range(wire.value, `${pointer}/stripSegments`, { min: 0, max: 64 });
    return Object.freeze({ kind: 'stripSegments', segments });
  }
  return Object.freeze({ kind: wire.$case, value: check.text(wire.value, `${pointer}/${wire.$case}`, listLengthMax) });
}
