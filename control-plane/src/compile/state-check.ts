import type { Steps } from '@remora/core/steps';
import { subjectKey } from '@remora/core/subject';
import type { Subject, SubjectKey } from '@remora/core/subject';
import { ownerOf, routesOf } from '../resolve/document-state.ts';
import type { DocumentState } from '../resolve/document-state.ts';
import type { RouteDocument } from '@remora/model/route-schema';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import type { Spot } from '../resolve/place-policies.ts';
import type { SettingsResolver } from '../resolve/settings-resolver.ts';
import type { DocumentKey } from '../store/store.ts';
import type { GatheredViolations } from './gathered-violations.ts';
import { detourProblems } from './detour-check.ts';
import { ReferenceCheck } from './reference-check.ts';
import { reachProblems } from './route-reach.ts';
import { spotsOf } from './spots.ts';
import { isTcpRoute, tcpPortsOf } from '../resolve/tcp-ports.ts';
import { tcpProblems } from './tcp-check.ts';

/** A step from one state to the next. */
export interface CheckedStep {
  readonly before: DocumentState;
  readonly state: DocumentState;
  readonly keys: readonly DocumentKey[];
  /** Written in this step and unreadable. */
  readonly excused: ReadonlySet<DocumentKey>;
  readonly kinds: ReadonlyMap<string, AuthoringKind>;
}

/** References of the changed documents, and of all others where something was deleted or lost a name; Routes of one owner among themselves. */
export function* checkDocuments({ before, state, keys, excused, kinds }: CheckedStep, gathered: GatheredViolations): Steps<void> {
  const owners = new Set<SubjectKey>();
  const references = new ReferenceCheck(state, excused);
  let everything = false;
  for (const key of keys) {
    yield;
    everything ||= takesNamesAway(before, state, key);
  }
  for (const key of everything ? allKeys(state) : keys) {
    yield;
    for (const violation of references.problemsOf(key)) gathered.add(violation, key);
    for (const violation of tcpProblems(state, key, kinds)) gathered.add(violation);
  }
  for (const violation of detourProblems(state, everything ? [...allKeys(state)] : keys, excused)) gathered.add(violation, violation.document as DocumentKey);
  const changed = new Set<string>();
  for (const key of keys) {
    if (!key.startsWith('Route/')) continue;
    yield;
    const name = key.slice('Route/'.length);
    changed.add(name);
    for (const one of [before, state]) {
      const route = one.routeByName.get(name);
      if (route) owners.add(ownerOf(route));
    }
  }
  for (const owner of owners) yield* checkReach(state, owner, before.routes.has(owner) ? changed : null, gathered);
}

/** Connections and requests never compete for a Route. */
function* checkReach(state: DocumentState, owner: SubjectKey, changed: ReadonlySet<string> | null, gathered: GatheredViolations): Steps<void> {
  const tcp: RouteDocument[] = [];
  const requests: RouteDocument[] = [];
  const carriesTcp = tcpPortsOf(state, owner).tcp.length > 0;
  for (const route of routesOf(state, owner)) {
    if (carriesTcp && isTcpRoute(state, route)) tcp.push(route);
    else requests.push(route);
    if (carriesTcp) yield;
  }
  for (const routes of [requests, tcp]) for (const violation of yield* reachProblems(routes, changed)) gathered.add(violation);
}

/** Deleting, or renaming a port or listener, or letting it carry something else, or giving a Route to another owner, may leave others with a name that is gone. */
function takesNamesAway(before: DocumentState, state: DocumentState, key: DocumentKey): boolean {
  const slash = key.indexOf('/');
  const name = key.slice(slash + 1);
  switch (key.slice(0, slash)) {
    case 'Service':
      return losesNames(before.services.get(name)?.ports, state.services.get(name)?.ports) || changesTcp(before, state, `service/${name}`);
    case 'Gateway':
      return losesNames(before.gateways.get(name)?.listeners, state.gateways.get(name)?.listeners) || changesTcp(before, state, `gateway/${name}`);
    case 'Route': {
      const [old, next] = [before.routeByName.get(name), state.routeByName.get(name)];
      return old !== undefined && (next === undefined || ownerOf(old) !== ownerOf(next) || isTcpRoute(before, old) !== isTcpRoute(state, next));
    }
    case 'Plan':
      return before.plans.has(name) && !state.plans.has(name);
    case 'Mesh':
      return before.mesh?.stores?.redis !== undefined && state.mesh?.stores?.redis === undefined;
    default:
      return false;
  }
}

function changesTcp(before: DocumentState, state: DocumentState, owner: SubjectKey): boolean {
  return tcpPortsOf(before, owner).tcp.join(' ') !== tcpPortsOf(state, owner).tcp.join(' ');
}

function losesNames(before: object | undefined, after: object | undefined): boolean {
  if (before === undefined) return false;
  return after === undefined || Object.keys(before).some((name) => !Object.hasOwn(after, name)) || Object.keys(after).length !== Object.keys(before).length;
}

function allKeys(state: DocumentState): DocumentKey[] {
  return [
    ...[...state.services.keys()].map((name): DocumentKey => `Service/${name}`),
    ...[...state.routeByName.keys()].map((name): DocumentKey => `Route/${name}`),
    ...[...state.policies.records()].map(({ policy }): DocumentKey => `Policy/${policy.name}`),
    ...[...state.consumers.keys()].map((name): DocumentKey => `Consumer/${name}`),
    ...[...state.plans.keys()].map((name): DocumentKey => `Plan/${name}`),
    ...[...state.canaries.keys()].map((name): DocumentKey => `Canary/${name}`),
  ];
}

/** Conflicts, contradictions and broken bounds at every place of these subjects. */
export function* checkSubjects(state: DocumentState, subjects: readonly Subject[], resolver: SettingsResolver, gathered: GatheredViolations): Steps<void> {
  for (const subject of subjects) {
    yield;
    for (const { side, spot } of spotsOf(state, subject)) {
      const { violations } = resolver.resolve(state, side, spot);
      for (const violation of violations) gathered.add(violation, subjectKey(subject), placeText(spot, subjectKey(subject)));
    }
  }
}

/** `service/payments called by service/batch, route refunds`. */
function placeText(spot: Spot, subject: SubjectKey): string {
  const route = spot.route === '' ? '' : ` route ${spot.route}`;
  const caller = spot.caller === '' ? '' : ` called by ${spot.caller}${spot.callerRoute === '' ? '' : ` route ${spot.callerRoute}`}`;
  return spot.owner === subject || spot.caller !== '' ? `${spot.owner}${route}${caller}` : spot.owner;
}
