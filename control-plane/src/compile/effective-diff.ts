import type { Json } from '@remora/core/canonical-json';
import { canonicalJson } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { Steps } from '@remora/core/steps';
import type { SubjectKey } from '@remora/core/subject';
import { routesOf } from '../resolve/document-state.ts';
import type { DocumentState } from '../resolve/document-state.ts';
import { leavesOf } from '../resolve/merge.ts';
import type { Spot } from '../resolve/place-policies.ts';
import type { KindSide } from '../resolve/policy-index.ts';
import type { MergedSection } from '../resolve/section.ts';
import type { ResolvedSettings } from '../resolve/settings-resolver.ts';
import type { Planned } from './planner.ts';

/** One field that is enforced with another value, by another policy, or in another way. */
export interface EffectiveChange {
  readonly kind: string;
  /** From the policy: `/retry/retries`; `/retry` where the section appears, goes, or moves between enforcing and shadow. */
  readonly pointer: string;
  /** Absent: not enforced before. */
  readonly before?: Json;
  /** Absent: not enforced any more. */
  readonly after?: Json;
  /** Policy that decides now (or decided, where the field goes); `default` where none does. */
  readonly winner: string;
  /** `service/orders`, `service/orders route split`, `gateway/edge calling service/orders`. Sorted, the first ones. */
  readonly places: readonly string[];
  readonly placeCount: number;
}

export interface EffectiveDiff {
  /** Sorted by kind, pointer and place. At most `changesMax`. */
  readonly changes: readonly EffectiveChange[];
  /** Changes beyond that. */
  readonly more: number;
  /** Left out: defaults that come or go with a section, which no policy sets. */
  readonly defaults: number;
}

const changesMax = 500;
const placesShown = 20;
/** From which on the ones that come last are forgotten. */
const placesKept = 200;
const spotsPerStep = 64;

/** A change without its places: the same at all of them. */
type FieldChange = Omit<EffectiveChange, 'places' | 'placeCount'>;

/**
 * What the sidecars of the changed subjects will enforce otherwise, field by field. Places with the same change are one entry. Defaults that only come or
 * go with their section are counted, and listed with `all`.
 */
export function* effectiveDiff(before: Planned, after: Planned, { all }: { readonly all: boolean }): Steps<EffectiveDiff> {
  const compared = new Map<string, { readonly changes: readonly FieldChange[]; readonly places: FirstPlaces }>();
  let spots = 0;
  for (const subject of [...after.changed].sort()) {
    yield;
    for (const [place, { side, spot }] of enforcedSpots(before.state, after.state, subject)) {
      if (++spots % spotsPerStep === 0) yield;
      const [old, next] = [before.resolver.settings(side, spot), after.resolver.settings(side, spot)];
      if (old?.key === next?.key) continue;
      const pair = `${old?.key ?? ''} ${next?.key ?? ''}`;
      let entry = compared.get(pair);
      if (!entry) compared.set(pair, entry = { changes: [...compare(old, next)], places: new FirstPlaces() });
      entry.places.add(place);
    }
  }
  const found = new Map<string, { readonly change: FieldChange; readonly places: FirstPlaces }>();
  for (const { changes, places } of compared.values()) {
    yield;
    for (const change of changes) {
      const key = canonicalJson({ ...change });
      const entry = found.get(key) ?? { change, places: new FirstPlaces() };
      entry.places.addAll(places);
      found.set(key, entry);
    }
  }
  const entries = [...found.values()]
    .map(({ change, places }): EffectiveChange => ({ ...change, places: places.first(), placeCount: places.count }))
    .sort((a, b) => order(a.kind, b.kind) || order(a.pointer, b.pointer) || order(a.places[0] ?? '', b.places[0] ?? ''));
  const shown = all ? entries : entries.filter((entry) => !isMereDefault(entry));
  return { changes: shown.slice(0, changesMax), more: Math.max(0, shown.length - changesMax), defaults: entries.length - shown.length };
}

/** Counts places, no place twice, and keeps the ones that come first. */
class FirstPlaces {
  count = 0;
  #names: string[] = [];

  add(name: string): void {
    this.count++;
    this.#keep(name);
  }

  addAll(others: FirstPlaces): void {
    this.count += others.count;
    for (const name of others.#names) this.#keep(name);
  }

  /** Sorted. */
  first(): readonly string[] {
    return this.#names.sort().slice(0, placesShown);
  }

  #keep(name: string): void {
    this.#names.push(name);
    if (this.#names.length > placesKept) this.#names = this.#names.sort().slice(0, placesShown);
  }
}

function isMereDefault({ winner, before, after }: EffectiveChange): boolean {
  return winner === 'default' && (before === undefined || after === undefined);
}

type Enforced = readonly [string, { readonly side: KindSide; readonly spot: Spot }];

/** Spots whose settings a subject enforces, in either state. */
function* enforcedSpots(before: DocumentState, after: DocumentState, subject: SubjectKey): Generator<Enforced> {
  const routes = namesIn(before, after, subject);
  for (const route of ['', ...routes]) yield [`${subject}${routeText(route)}`, { side: 'provider', spot: { owner: subject, route, caller: '', callerRoute: '' } }];
  const callerRoutes = subject.startsWith('gateway/') ? ['', ...routes] : [''];
  const destinations = new Set([...(before.destinations.get(subject) ?? []), ...(after.destinations.get(subject) ?? [])]);
  for (const service of destinations) {
    const owner: SubjectKey = `service/${service}`;
    for (const route of ['', ...namesIn(before, after, owner)]) {
      for (const callerRoute of callerRoutes) {
        if (callerRoute !== '' && !leadsTo(after, callerRoute, service)) continue;
        yield [`${subject}${routeText(callerRoute)} calling ${owner}${routeText(route)}`, { side: 'caller', spot: { owner, route, caller: subject, callerRoute } }];
      }
    }
  }
}

function leadsTo(state: DocumentState, route: string, service: string): boolean {
  return state.routeByName.get(route)?.to?.some((destination) => destination.service === service) ?? false;
}

function namesIn(before: DocumentState, after: DocumentState, owner: SubjectKey): string[] {
  return [...new Set([...routesOf(before, owner), ...routesOf(after, owner)].map(({ name }) => name))];
}

function routeText(route: string): string {
  return route === '' ? '' : ` route ${route}`;
}

function* compare(old: ResolvedSettings | null, next: ResolvedSettings | null): Generator<FieldChange> {
  for (const kind of new Set([...(old?.sections.keys() ?? []), ...(next?.sections.keys() ?? [])])) {
    yield* compareSections(kind, old?.sections.get(kind), next?.sections.get(kind));
  }
}

function* compareSections(kind: string, old: MergedSection | undefined, next: MergedSection | undefined): Generator<FieldChange> {
  if (old === next) return;
  const mode = (section: MergedSection): string => (section.shadow ? 'shadow' : 'enforce');
  if (old !== undefined && next !== undefined && old.shadow !== next.shadow) {
    yield { kind, pointer: joinPointer('', kind, 'enforcement'), before: mode(old), after: mode(next), winner: next.enforcement?.by?.policy.name ?? 'default' };
  }
  const [left, right] = [leavesByPointer(kind, old), leavesByPointer(kind, next)];
  for (const pointer of new Set([...left.keys(), ...right.keys()])) {
    const [was, is] = [left.get(pointer), right.get(pointer)];
    if (was !== undefined && is !== undefined && was.winner === is.winner && canonicalJson(was.value) === canonicalJson(is.value)) continue;
    yield { kind, pointer, ...(was === undefined ? {} : { before: was.value }), ...(is === undefined ? {} : { after: is.value }), winner: (is ?? was)?.winner ?? 'default' };
  }
}

function leavesByPointer(kind: string, section: MergedSection | undefined): Map<string, { readonly value: Json; readonly winner: string }> {
  const leaves = new Map<string, { readonly value: Json; readonly winner: string }>();
  if (section === undefined) return leaves;
  for (const { pointer, leaf } of leavesOf(section.tree, joinPointer('', kind))) leaves.set(pointer, { value: leaf.value, winner: leaf.by?.policy.name ?? 'default' });
  return leaves;
}

function order(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
