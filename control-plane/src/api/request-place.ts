import type { Subject } from '@remora/core/subject';
import { subjectKey } from '@remora/core/subject';
import { canonicalPath } from '@remora/http/canonical-path';
import { buildRequestHead } from '@remora/http/head-builder';
import type { MessageHead } from '@remora/http/message-head';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { compileRouteTable, undecided } from '@remora/router/route-table';
import { decodeSnapshot } from '@remora/snapshot/decode';
import type { RouteDefinition, RouteScope } from '@remora/snapshot/route-definition';
import type { GatewayListener, InboundPort, Snapshot } from '@remora/snapshot/snapshot';
import type { Planned } from '../compile/planner.ts';
import { wireKinds } from '../kinds.ts';
import { ApiError } from './problem.ts';

/** A request that somebody asks about. Nothing is sent. */
export interface AskedRequest {
  readonly method: string;
  /** As the client would name it in Host. */
  readonly authority: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Port of the service, listener of the gateway; absent: the first. */
  readonly port?: string;
}

/** Where a request arrives: found with the code that a sidecar runs, on what is compiled for it. */
export interface RequestPlace {
  /** Canonical path; '' where this spelling is refused. */
  readonly path: string;
  /** Port or listener. */
  readonly port: string;
  /** '' where none matches. */
  readonly route: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly outcome: 'app' | 'forward' | 'redirect' | 'respond' | 'refused';
  /** Why it is refused, as a sidecar would say it. */
  readonly reason: string;
  /** Services it may go to, with the service's own route for the request. */
  readonly targets: readonly { readonly service: string; readonly route: string; readonly weight: number; readonly labels: readonly string[] }[];
}

export function findRequestPlace(planned: Planned, owner: Subject, asked: AskedRequest): RequestPlace {
  const snapshot = snapshotOf(planned, owner);
  const head = headOf(asked);
  const place = owner.kind === 'gateway' ? placeIn([...snapshot.listeners.values()], asked.port, 'listener') : placeIn([...snapshot.inbounds.values()], asked.port, 'port');
  const rules = place.pathRules ?? snapshot.fleet.pathRules;
  const nothing = { port: place.name, route: '', variables: {}, targets: [] };
  const path = canonicalPath(head.path, rules);
  if (path === '') return { ...nothing, path, outcome: 'refused', reason: 'bad-path' };
  head.setPath(path);
  const found = matchRoute(snapshot, { scope: owner.kind === 'gateway' ? 'gateway' : 'inbound', owner: owner.name, port: place.name }, head);
  if (found === 'undecided') return { ...nothing, path, outcome: 'refused', reason: 'bad-request' };
  if (found === null) return { ...nothing, path, ...(owner.kind === 'gateway' ? { outcome: 'refused', reason: 'no-route' } : { outcome: 'app', reason: '' }) };
  const { route, variables } = found;
  const outcome = route.action.kind === 'forward' && owner.kind === 'service' ? 'app' : route.action.kind;
  return { path, port: place.name, route: route.name, variables, outcome, reason: '', targets: owner.kind === 'gateway' ? targetsOf(snapshot, route, head) : [] };
}

function snapshotOf(planned: Planned, owner: Subject): Snapshot {
  const compiled = planned.compilation.subjects.get(subjectKey(owner));
  if (!compiled) throw new ApiError('not-found', `there is no ${subjectKey(owner)}`);
  const { hash, manifest, resources } = compiled;
  // Decoding needs name, format and `decode` of a kind, which is what the control plane has of it.
  const result = decodeSnapshot({ subject: owner, version: { epoch: 0, index: 0 }, hash, manifest, resources }, wireKinds as ReadonlyMap<string, RuntimeKind<unknown>>, { hashesVerified: true });
  if (!result.ok) throw new Error(`what is compiled for ${subjectKey(owner)} cannot be decoded`);
  return result.snapshot;
}

function headOf({ method, authority, path, headers }: AskedRequest): MessageHead {
  try {
    return buildRequestHead({ method, authority, target: path, headers });
  } catch (error) {
    throw new ApiError('bad-request', `no such request can be made: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function placeIn<T extends InboundPort | GatewayListener>(places: readonly T[], wanted: string | undefined, word: string): T {
  const place = wanted === undefined ? places[0] : places.find(({ name }) => name === wanted);
  if (!place) throw new ApiError('not-found', `there is no such ${word}; there are: ${places.map(({ name }) => name).join(', ') || 'none'}`);
  return place;
}

interface Scope {
  readonly scope: RouteScope;
  readonly owner: string;
  readonly port: string;
}

function matchRoute(snapshot: Snapshot, { scope, owner, port }: Scope, head: MessageHead): { readonly route: RouteDefinition; readonly variables: Record<string, string> } | 'undecided' | null {
  const routes = snapshot.routes.filter((route) => route.scope === scope && route.owner === owner && (port === '' || route.ports.length === 0 || route.ports.includes(port)));
  const hit = compileRouteTable(routes.map((route) => ({ name: route.name, priority: route.priority, match: route.match, value: route }))).match(head);
  if (hit === undecided) return 'undecided';
  return hit && { route: hit.value, variables: Object.fromEntries(hit.pathNames.map((name, at) => [name, hit.pathValues[at] ?? ''])) };
}

function targetsOf(snapshot: Snapshot, { action }: RouteDefinition, head: MessageHead): RequestPlace['targets'] {
  if (action.kind !== 'forward') return [];
  return action.targets.map(({ service, weight, labels }) => {
    const found = matchRoute(snapshot, { scope: 'outbound', owner: service, port: '' }, head);
    return { service, weight, labels, route: found === null || found === 'undecided' ? '' : found.route.name };
  });
}

