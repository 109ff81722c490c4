import type { MatchDocument } from '@remora/model/match-schema';
import type { ValueMatch as WireValue } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { anyMatch } from '@remora/router/match';
import type { PathMatch, RouteMatch, ValueMatch, VersionMatch } from '@remora/router/match';
import { wireMatch } from './route-wire.ts';

/** A match as the router orders and compares it: what the sidecar will decode. */
export function routerMatch(match: MatchDocument | undefined): RouteMatch {
  const wire = wireMatch(match);
  if (wire === undefined) return anyMatch;
  return {
    hosts: wire.hosts,
    path: wire.path?.kind === undefined ? null : ({ kind: wire.path.kind.$case, value: wire.path.kind.value } satisfies PathMatch),
    methods: wire.methods,
    headers: wire.headers.map(valueMatch),
    query: wire.query.map(valueMatch),
    cookies: wire.cookies.map(valueMatch),
    version: wire.version === undefined ? null : { value: wire.version.value, source: versionSource(wire.version.source) },
    grpc: wire.grpc ?? null,
  };
}

function valueMatch({ name, kind, invert }: WireValue): ValueMatch {
  if (kind === undefined || kind.$case === 'present') return { name, kind: 'present', value: '', invert };
  return { name, kind: kind.$case, value: kind.value, invert };
}

type WireSource = NonNullable<NonNullable<ReturnType<typeof wireMatch>>['version']>['source'];

function versionSource(source: WireSource): VersionMatch['source'] {
  if (source === undefined) return { kind: 'header', name: '' };
  if (source.$case === 'pathSegment') return { kind: 'pathSegment', segment: source.value };
  return { kind: source.$case, name: source.value };
}
