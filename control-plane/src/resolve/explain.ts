import { subjectKey } from '@remora/core/subject';
import type { SubjectKey } from '@remora/core/subject';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { kindOrder } from '@remora/policy-kit/order';
import type { DocumentState } from './document-state.ts';
import { ownerOf } from './document-state.ts';
import type { EffectiveSection, FieldProvenance, Place, PolicyRef } from './effective.ts';
import { leavesOf } from './merge.ts';
import type { MergedLeaf } from './merge.ts';
import type { Spot } from './place-policies.ts';
import { describeTarget, rankOf } from './policy-index.ts';
import type { KindSide, PolicyRecord } from './policy-index.ts';
import type { Resolver } from './resolver.ts';
import { implyingAmong } from './section.ts';
import type { MergedSection } from './section.ts';
import type { ActiveBound } from './bounds.ts';
import type { ResolvedSettings, SettingsResolver } from './settings-resolver.ts';
import { isTcpRoute, tcpPortsOf } from './tcp-ports.ts';

export function createResolver(state: DocumentState, kinds: ReadonlyMap<string, AuthoringKind>, settings: SettingsResolver): Resolver {
  return new StateResolver(state, kinds, settings);
}

const places: ReadonlyMap<string, number> = new Map(kindOrder.map(({ name }, i) => [name, i]));

class StateResolver implements Resolver {
  readonly #state: DocumentState;
  readonly #kinds: readonly AuthoringKind[];
  readonly #kindsByName: ReadonlyMap<string, AuthoringKind>;
  readonly #settings: SettingsResolver;

  constructor(state: DocumentState, kinds: ReadonlyMap<string, AuthoringKind>, settings: SettingsResolver) {
    this.#state = state;
    this.#kinds = [...kinds.values()].sort((a, b) => (places.get(a.name) ?? 0) - (places.get(b.name) ?? 0));
    this.#kindsByName = kinds;
    this.#settings = settings;
  }

  effective(place: Place): readonly EffectiveSection[] {
    if (!this.#exists(spotOf(place, 'caller'))) return [];
    return sides.flatMap((side) => {
      const resolved = this.#settings.resolve(this.#state, side, spotOf(place, side));
      return this.#kinds.flatMap((kind): EffectiveSection[] => {
        const section = resolved.sections.get(kind.name);
        return section === undefined ? [] : [{ kind: kind.name, value: section.value, shadow: section.shadow, provenance: this.#provenance(section, resolved.bounds, kind, place) }];
      });
    });
  }

  explain(place: Place, field?: string): readonly FieldProvenance[] | null {
    if (!this.#exists(spotOf(place, 'caller'))) return null;
    return sides.flatMap((side) => {
      const resolved = this.#settings.resolve(this.#state, side, spotOf(place, side));
      return this.#kinds
        .filter((kind) => kind.side === side && !(kind.owners === 'services' && place.owner.kind === 'gateway'))
        .map((kind) => ({ kind, section: this.#settings.section(kind, resolved.policies, implyingAmong(kind, resolved.sections, this.#kindsByName)) }))
        .filter(({ section }) => section.present)
        .flatMap(({ kind, section }) => this.#provenance(section, resolved.bounds, kind, place))
        .filter(({ pointer }) => field === undefined || field === '' || pointer === field || pointer.startsWith(`${field}/`) || field.startsWith(`${pointer}/`));
    });
  }

  #provenance(section: MergedSection, bounds: readonly ActiveBound[], kind: AuthoringKind, place: Place): FieldProvenance[] {
    const notes = [impliedNote(kind, section), kind.tcp === true ? '' : this.#tcpNote(place)].filter((note) => note !== '');
    const fields = provenanceOf(section, bounds);
    return notes.length === 0 ? fields : fields.map((field) => ({ ...field, why: [field.why, ...notes].join(' ') }));
  }

  /** What is inherited and does not hold for connections is ignored where there are only those. */
  #tcpNote({ owner, route }: Place): string {
    const { tcp, all } = tcpPortsOf(this.#state, subjectKey(owner));
    if (tcp.length === 0) return '';
    const found = route === undefined || route === '' ? undefined : this.#state.routeByName.get(route);
    if (found !== undefined) return isTcpRoute(this.#state, found) ? 'It is ignored here: the Route carries TCP connections.' : '';
    return tcp.length === all.length ? 'It is ignored here: every port carries TCP connections.' : `It is ignored on ${tcp.join(', ')}, which carries TCP connections.`;
  }

  settings(side: KindSide, spot: Spot): ResolvedSettings | null {
    return this.#exists(spot) ? this.#settings.resolve(this.#state, side, spot) : null;
  }

  #exists({ owner, route, caller, callerRoute }: Spot): boolean {
    return this.#has(owner, route) && (caller === '' || this.#has(caller, callerRoute));
  }

  #has(subject: SubjectKey, route: string): boolean {
    const name = subject.slice(subject.indexOf('/') + 1);
    if (!(subject.startsWith('service/') ? this.#state.services : this.#state.gateways).has(name)) return false;
    const found = route === '' ? undefined : this.#state.routeByName.get(route);
    return route === '' || (found !== undefined && ownerOf(found) === subject);
  }
}

/** Why a kind is there that no policy need set, or is there and has nothing to do. */
function impliedNote({ name, impliedBy }: AuthoringKind, { implying, inEffect, shadow }: MergedSection): string {
  if (impliedBy === undefined && implying.length === 0) return '';
  if (impliedBy !== undefined && implying.length === 0) return `${name} has nothing to decide over here: none of ${impliedBy.join(', ')} is in effect.`;
  const kinds = implying.map(({ kind }) => kind).join(', ');
  if (inEffect.length === 0) return `${name} has nothing to decide over here: ${kinds} is in shadow, and it is not.`;
  return `${name} is in effect here because of ${kinds}${shadow ? ', and in shadow' : ''}.`;
}

/** With a caller its own settings; the provider side is the same for all callers. */
const sides: readonly KindSide[] = ['provider', 'caller'];

function spotOf(place: Place, side: KindSide): Spot {
  const caller = side === 'caller' ? place.caller : undefined;
  return { owner: subjectKey(place.owner), route: place.route ?? '', caller: caller === undefined ? '' : subjectKey(caller), callerRoute: caller?.route ?? '' };
}

function provenanceOf(section: MergedSection, bounds: readonly ActiveBound[]): FieldProvenance[] {
  const base = `/${section.kind}`;
  const fields: FieldProvenance[] = [];
  if (section.enabled !== null) fields.push(provenance(`${base}/enabled`, section.enabled, bounds));
  if (section.enforcement === null && section.shadow) fields.push(provenance(`${base}/enforcement`, { kind: 'leaf', value: 'shadow', by: null, lost: [] }, bounds));
  if (section.enforcement !== null) fields.push(provenance(`${base}/enforcement`, section.enforcement, bounds));
  for (const { pointer, leaf } of leavesOf(section.tree, base)) fields.push(provenance(pointer, leaf, bounds));
  return fields;
}

function provenance(pointer: string, leaf: MergedLeaf<PolicyRecord>, bounds: readonly ActiveBound[]): FieldProvenance {
  return {
    pointer,
    value: leaf.value,
    winner: leaf.by === null ? 'default' : refOf(leaf.by),
    losers: leaf.lost.flatMap(({ layer, value }) => (layer === null ? [] : [{ policy: refOf(layer), value }])),
    why: whyOf(leaf),
    bounds: bounds.filter(({ bound }) => covers(bound.field, pointer)).map(({ record, bound }) => ({ policy: record.policy.name, text: boundText(bound) })),
  };
}

function refOf({ policy, strength }: PolicyRecord): PolicyRef {
  return { policy: policy.name, target: describeTarget(policy), strength };
}

const rankNames = {
  everything: 'everything', allServices: 'all services', labelledServices: 'services with labels', service: 'one service', serviceRoute: 'one route of a service',
  allGateways: 'all gateways', gateway: 'one gateway', gatewayRoute: 'one route of a gateway',
} as const;

function whyOf(leaf: MergedLeaf<PolicyRecord>): string {
  if (leaf.by === null) return 'No policy sets it; this is the default.';
  const own = levelText(leaf.by);
  const next = leaf.lost.find(({ layer }) => layer !== null)?.layer;
  if (next === undefined || next === null) return `Only ${leaf.by.policy.name} (${own}) sets it.`;
  return `${leaf.by.policy.name} (${own}) is stronger than ${next.policy.name} (${levelText(next)}).`;
}

function levelText({ policy }: PolicyRecord): string {
  return `${rankNames[rankOf(policy.target)]}${policy.from === undefined ? '' : ', for some callers'}`;
}

/** Whether a bound's pointer is the field, is above it, or is its section's. */
function covers(field: string, pointer: string): boolean {
  const wanted = field.split('/');
  const segments = pointer.split('/');
  if (segments[1] === wanted[1] && segments.length === 3 && (segments[2] === 'enabled' || segments[2] === 'enforcement')) return true;
  return wanted.length <= segments.length && wanted.every((segment, i) => segment === '*' || segment === segments[i]);
}

function boundText(bound: ActiveBound['bound']): string {
  const parts: string[] = [];
  if (bound.locked === true) parts.push('locked');
  if (bound.min !== undefined) parts.push(`at least ${String(bound.min)}`);
  if (bound.max !== undefined) parts.push(`at most ${String(bound.max)}`);
  if (bound.oneOf !== undefined) parts.push(`one of ${bound.oneOf.map(String).join(', ')}`);
  return `${bound.field}: ${parts.join(', ')}`;
}
