import type { Json, JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';
import { issueViolations } from '@remora/model/issue-violations';
import { sectionOf } from '@remora/model/policy-schema';
import type { AuthoringKind, BesideSection, CompiledSection } from '@remora/policy-kit/authoring-kind';
import { shapeOf } from '@remora/model/schema-shape';
import { fillDefaults, leavesOf, mergeLayers, valueOf } from './merge.ts';
import type { LayerInput, MergedLeaf, MergedMap } from './merge.ts';
import { rankOf } from './policy-index.ts';
import type { PolicyRecord, TargetRank } from './policy-index.ts';

/** The section of one kind after merging the policies of one place. Immutable, shared by all places with the same policies. */
export interface MergedSection {
  readonly kind: string;
  /** Some level sets it, it is always there, or others bring it along. */
  readonly present: boolean;
  /** Present and not switched off. */
  readonly on: boolean;
  readonly shadow: boolean;
  /** Kinds that bring it along here. */
  readonly implying: readonly ImplyingKind[];
  /** Those of them that count for it, sorted: all where it is in shadow itself, else those that are enforced. */
  readonly inEffect: readonly string[];
  /** `enabled` and `enforcement` as set, for provenance. */
  readonly enabled: MergedLeaf<PolicyRecord> | null;
  readonly enforcement: MergedLeaf<PolicyRecord> | null;
  /** With defaults, without `enabled` and `enforcement`. */
  readonly tree: MergedMap<PolicyRecord>;
  readonly value: JsonObject;
  /** Why the whole cannot be, with pointers into the section; empty where it can. */
  readonly violations: readonly Violation[];
}

/** A kind in effect that brings others along. */
export interface ImplyingKind {
  readonly kind: string;
  readonly shadow: boolean;
}

/** Those of `kind.impliedBy` that are among the sections of a place, and those sections that ask for the kind by name. */
export function implyingAmong(kind: AuthoringKind, sections: ReadonlyMap<string, MergedSection>, kinds: ReadonlyMap<string, AuthoringKind>): readonly ImplyingKind[] {
  const asking = [...sections].filter(([name, section]) => asksFor(kinds.get(name), section, kind)).map(([name]) => name);
  return [...kind.impliedBy ?? [], ...asking].flatMap((name) => {
    const section = sections.get(name);
    return section?.on === true ? [{ kind: name, shadow: section.shadow }] : [];
  });
}

function asksFor(asking: AuthoringKind | undefined, { value }: MergedSection, kind: AuthoringKind): boolean {
  return asking?.brings !== undefined && asking.side === kind.side && asking.brings(value).includes(kind.name) && needsNothing(kind);
}

/** Whether its defaults are all that it needs. */
function needsNothing(kind: AuthoringKind): boolean {
  let known = withoutNeeds.get(kind);
  if (known === undefined) withoutNeeds.set(kind, known = problemsOf(kind, mergeSection(kind, []).value, { inEffect: [], narrow: false }).length === 0);
  return known;
}

const withoutNeeds = new WeakMap<AuthoringKind, boolean>();

export function mergeSection(kind: AuthoringKind, policies: readonly PolicyRecord[], implying: readonly ImplyingKind[] = []): MergedSection {
  const layers: LayerInput<PolicyRecord>[] = [];
  let enabled: MergedLeaf<PolicyRecord> | null = null;
  let enforcement: MergedLeaf<PolicyRecord> | null = null;
  for (const record of policies) {
    const value = sectionOf(record.policy, kind.name);
    if (value === undefined) continue;
    layers.push({ layer: record, value });
    if (value['enabled'] !== undefined) enabled = over(enabled, value['enabled'], record);
    if (value['enforcement'] !== undefined) enforcement = over(enforcement, value['enforcement'], record);
  }
  const present = layers.length > 0 || kind.always || implying.length > 0;
  const on = present && enabled?.value !== false;
  const tree = fillDefaults(kind.schema, mergeLayers(kind.schema, layers), kind.defaults, kind.entryDefaults ?? {});
  const value = valueOf(tree) as JsonObject;
  const shadow = enforcement === null ? implying.length > 0 && implying.every((one) => one.shadow) : enforcement.value === 'shadow';
  const inEffect = implying.filter((one) => shadow || !one.shadow).map((one) => one.kind).sort();
  const narrow = layers.some(({ layer }) => !wideRanks.has(rankOf(layer.policy.target)));
  return Object.freeze({
    kind: kind.name, present, on, shadow, implying, inEffect, enabled, enforcement, tree, value,
    violations: on ? problemsOf(kind, value, { inEffect, narrow }) : [],
  });
}

const wideRanks: ReadonlySet<TargetRank> = new Set(['everything', 'allServices', 'labelledServices', 'allGateways'] as const);

function over(below: MergedLeaf<PolicyRecord> | null, value: Json, layer: PolicyRecord): MergedLeaf<PolicyRecord> {
  return { kind: 'leaf', value, by: layer, lost: below === null ? [] : [{ layer: below.by, value: below.value }, ...below.lost] };
}

/** Required fields of the merged whole, and what the kind itself has against it. */
function problemsOf(kind: AuthoringKind, value: JsonObject, beside: BesideSection): readonly Violation[] {
  const parsed = kind.schema.safeParse(value, { reportInput: true });
  if (!parsed.success) return issueViolations(kind.schema, parsed.error.issues);
  return [...kind.check?.(value) ?? [], ...kind.checkAmong?.(value, beside) ?? []];
}

export interface SectionOrigin {
  readonly pointer: string;
  readonly policy: string;
}

/**
 * Which policy decided what: by field, or by entry of a named map (the strongest that had a say in it). Defaults have no
 * origin. Sorted by pointer.
 */
export function originsOf(kind: AuthoringKind, section: MergedSection): SectionOrigin[] {
  const strongest = new Map<string, PolicyRecord>();
  const depths = entryDepths(kind);
  for (const { pointer, leaf } of leavesOf(section.tree)) {
    if (leaf.by === null) continue;
    const at = shorten(pointer, depths);
    const known = strongest.get(at);
    if (known === undefined || known.strength < leaf.by.strength) strongest.set(at, leaf.by);
  }
  return [...strongest].map(([pointer, { policy }]) => ({ pointer, policy: policy.name })).sort((a, b) => (a.pointer < b.pointer ? -1 : 1));
}

/** Top-level fields of the kind that are named maps. */
function entryDepths(kind: AuthoringKind): ReadonlySet<string> {
  let names = namedMaps.get(kind);
  if (!names) {
    names = new Set(Object.entries(kind.schema.shape).filter(([, field]) => shapeOf(field as never).kind === 'record').map(([name]) => name));
    namedMaps.set(kind, names);
  }
  return names;
}

const namedMaps = new WeakMap<AuthoringKind, ReadonlySet<string>>();

function shorten(pointer: string, maps: ReadonlySet<string>): string {
  const segments = pointer.split('/');
  return maps.has(segments[1] ?? '') ? segments.slice(0, 3).join('/') : pointer;
}

/** A section as it travels. */
export interface BuiltSection extends CompiledSection {
  readonly kind: string;
  readonly shadow: boolean;
  readonly origins: readonly SectionOrigin[];
}

export function buildSection(kind: AuthoringKind, section: MergedSection): BuiltSection {
  const { minFormat, body } = kind.compile(section.value, section.inEffect);
  return Object.freeze({ kind: kind.name, minFormat, body, shadow: section.shadow, origins: originsOf(kind, section) });
}
