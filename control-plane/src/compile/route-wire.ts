import type { MatchDocument } from '@remora/model/match-schema';
import type { RewriteDocument, RouteDestination, RouteDocument } from '@remora/model/route-schema';
import { parseDurationMs } from '@remora/core/units';
import { Scope } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { CallerOverride, Label, Match, PathMatch, Rewrite, Route, ValueMatch, VersionMatch, WeightedTarget } from '@remora/proto/gen/remora/snapshot/v1/snapshot';

/** Settings that a Route refers to. */
export interface RouteSettings {
  readonly settings: Buffer;
  readonly callerOverrides: readonly CallerOverride[];
}

/**
 * A Route document as one side runs it. Inbound: provider-side settings, rewrites and answers; where the request goes is the
 * app. Outbound: which instances, and caller-side settings; what the provider answers itself is forwarded to any instance.
 */
export function wireRoute(route: RouteDocument, scope: Scope, { settings, callerOverrides }: RouteSettings): Route {
  return {
    name: route.name,
    owner: route.gateway ?? route.service ?? '',
    scope,
    ports: [...(route.ports ?? route.listeners ?? [])].sort(),
    priority: route.priority ?? 0,
    match: wireMatch(route.match),
    action: wireAction(route, scope),
    settings,
    callerOverrides: [...callerOverrides],
    rewrite: scope === Scope.SCOPE_OUTBOUND || route.rewrite === undefined ? undefined : wireRewrite(route.rewrite),
  };
}

function wireAction(route: RouteDocument, scope: Scope): Route['action'] {
  if (scope === Scope.SCOPE_OUTBOUND) {
    const targets = route.to === undefined ? [anyInstance] : wireTargets(route.to);
    return { $case: 'forward', value: { targets, stickyHeader: stickyHeader(route) } };
  }
  if (route.redirect !== undefined) {
    const { status, scheme, host, port, rewrite, keepQuery } = route.redirect;
    return {
      $case: 'redirect',
      value: { status: status ?? 302, scheme: scheme ?? '', host: host?.toLowerCase() ?? '', port: port ?? 0, rewrite: rewrite && wireRewrite(rewrite), keepQuery: keepQuery ?? true },
    };
  }
  if (route.respond !== undefined) return wireRespond(route.respond);
  return { $case: 'forward', value: scope === Scope.SCOPE_INBOUND ? { targets: [], stickyHeader: '' } : { targets: wireTargets(route.to ?? []), stickyHeader: stickyHeader(route) } };
}

function stickyHeader({ sticky }: RouteDocument): string {
  return sticky?.header.toLowerCase() ?? '';
}

const anyInstance: WeightedTarget = { service: '', port: '', labels: [], weight: 1 };

function wireRespond(respond: NonNullable<RouteDocument['respond']>): Route['action'] {
  const body = Buffer.from(respond.body ?? '', 'utf8');
  const headers = Object.entries(respond.headers ?? {}).map(([name, value]) => ({ name, value })).sort((a, b) => order(a.name.toLowerCase(), b.name.toLowerCase()));
  return {
    $case: 'respond',
    value: {
      status: respond.status, headers, body,
      contentType: respond.contentType ?? (body.length > 0 ? 'text/plain; charset=utf-8' : ''),
      delayMs: parseDurationMs(respond.delay ?? '0s') ?? 0,
    },
  };
}

/** Sorted: the order in which people list destinations means nothing. */
function wireTargets(to: readonly RouteDestination[]): WeightedTarget[] {
  const targets = to.map(({ service, port, labels, weight }) => ({ service: service ?? '', port: port ?? '', labels: wireLabels(labels), weight: weight ?? 1 }));
  const text = (target: WeightedTarget): string => JSON.stringify(target);
  return targets.sort((a, b) => order(text(a), text(b)));
}

export function wireLabels(labels: Readonly<Record<string, string>> | undefined): Label[] {
  return Object.entries(labels ?? {}).map(([key, value]) => ({ key, value })).sort((a, b) => order(a.key, b.key));
}

function wireRewrite(rewrite: RewriteDocument): Rewrite {
  const host = rewrite.host?.toLowerCase() ?? '';
  if (rewrite.prefix !== undefined) return { path: { $case: 'prefix', value: rewrite.prefix }, host };
  if (rewrite.template !== undefined) return { path: { $case: 'template', value: rewrite.template }, host };
  return { path: rewrite.stripSegments === undefined ? undefined : { $case: 'stripSegments', value: rewrite.stripSegments }, host };
}

export function wireMatch(match: MatchDocument | undefined): Match | undefined {
  if (match === undefined || Object.keys(match).length === 0) return undefined;
  return {
    hosts: (match.hosts ?? []).map((host) => host.toLowerCase()).sort(),
    path: match.path && wirePath(match.path),
    methods: [...(match.methods ?? [])].sort(),
    headers: wireValues(match.headers, true),
    query: wireValues(match.query, false),
    cookies: wireValues(match.cookies, false),
    version: match.version && wireVersion(match.version),
    grpc: match.grpc && { service: match.grpc.service, method: match.grpc.method ?? '' },
  };
}

function wirePath(path: NonNullable<MatchDocument['path']>): PathMatch {
  if (path.exact !== undefined) return { kind: { $case: 'exact', value: path.exact } };
  if (path.prefix !== undefined) return { kind: { $case: 'prefix', value: path.prefix } };
  if (path.template !== undefined) return { kind: { $case: 'template', value: path.template } };
  return { kind: { $case: 'regex', value: path.regex ?? '' } };
}

type ValueDocument = NonNullable<MatchDocument['headers']>[string];

/** Header names compare without case, those of query and cookies with it. */
function wireValues(values: Readonly<Record<string, ValueDocument>> | undefined, foldCase: boolean): ValueMatch[] {
  return Object.entries(values ?? {})
    .map(([name, value]) => wireValue(foldCase ? name.toLowerCase() : name, value))
    .sort((a, b) => order(a.name, b.name));
}

function wireValue(name: string, value: ValueDocument): ValueMatch {
  const invert = value.invert ?? false;
  if (value.exact !== undefined) return { name, kind: { $case: 'exact', value: value.exact }, invert };
  if (value.prefix !== undefined) return { name, kind: { $case: 'prefix', value: value.prefix }, invert };
  if (value.regex !== undefined) return { name, kind: { $case: 'regex', value: value.regex }, invert };
  return { name, kind: { $case: 'present', value: true }, invert: value.absent === true };
}

function wireVersion(version: NonNullable<MatchDocument['version']>): VersionMatch {
  const { value } = version;
  if (version.header !== undefined) return { value, source: { $case: 'header', value: version.header.toLowerCase() } };
  if (version.query !== undefined) return { value, source: { $case: 'query', value: version.query } };
  if (version.pathSegment !== undefined) return { value, source: { $case: 'pathSegment', value: version.pathSegment } };
  return { value, source: { $case: 'mediaTypeParameter', value: version.mediaTypeParameter ?? '' } };
}

function order(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
