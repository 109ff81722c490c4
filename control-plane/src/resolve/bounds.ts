import type { Json } from '@remora/core/canonical-json';
import { joinPointer, parsePointer } from '@remora/core/pointer';
import { meaningOf } from '@remora/model/canonical-form';
import type { BoundDocument } from '@remora/model/policy-schema';
import { compareMagnitudes } from '@remora/model/value-order';
import { typesBelow } from '@remora/model/schema-shape';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import type { z } from 'zod';
import { leavesOf, nodeAt } from './merge.ts';
import type { MergedNode } from './merge.ts';
import type { PolicyRecord } from './policy-index.ts';
import type { MergedSection } from './section.ts';

/** A bound that holds at a place: from which policy, and which of its bounds. */
export interface ActiveBound {
  readonly record: PolicyRecord;
  readonly index: number;
  readonly bound: BoundDocument;
}

/** That an effective value breaks a bound. */
export interface BoundBreach {
  readonly active: ActiveBound;
  /** Into the policy document: `/retry/retries`. */
  readonly pointer: string;
  /** What is wrong, without the place: `is 5, at most 3 is allowed`. */
  readonly text: string;
  /** Who set the value; null: it is the default, or what is missing. */
  readonly by: PolicyRecord | null;
}

/** Everything in which an effective section breaks a bound, given the section as merged up to the bound's strength. */
export function boundBreaches(kind: AuthoringKind, active: ActiveBound, effective: MergedSection, upTo: MergedSection): BoundBreach[] {
  const path = (parsePointer(active.bound.field) ?? []).slice(1);
  const found: BoundBreach[] = [];
  const report = (segments: readonly string[], text: string, by: PolicyRecord | null): void => {
    found.push({ active, pointer: joinPointer(`/${kind.name}`, ...segments), text, by });
  };
  if (!checkPins(path, active.bound, effective, upTo, report)) return found;
  if (!effective.on || path[0] === 'enabled' || path[0] === 'enforcement') return found;
  const here = matches(effective.tree, path);
  const inherited = upTo.present && upTo.on ? matches(upTo.tree, path) : active.bound.locked === true ? matches(upTo.tree, path) : [];
  for (const segments of here) {
    const node = nodeAt(effective.tree, segments);
    if (node) checkValue(kind, active, { segments, node, below: nodeAt(upTo.tree, segments) }, report);
  }
  for (const segments of inherited) {
    if (nodeAt(effective.tree, segments) !== undefined) continue;
    report(segments, 'was removed; what is bounded stays', removerOf(effective, segments));
  }
  return found;
}

type Report = (segments: readonly string[], text: string, by: PolicyRecord | null) => void;

/**
 * A bound on a field pins whether its section is on, and whether it is in shadow: a limit that nobody enforces is none.
 * Where no level up to the bound's has the section, stronger ones are free to bring it. False: nothing more to check.
 */
function checkPins(path: readonly string[], bound: BoundDocument, effective: MergedSection, upTo: MergedSection, report: Report): boolean {
  const field = path[0];
  if (field === 'enabled' && bound.oneOf !== undefined && effective.present && !bound.oneOf.includes(effective.on)) report(['enabled'], `is ${effective.on}, ${allowedText(bound)}`, effective.enabled?.by ?? null);
  const enforcement = effective.shadow ? 'shadow' : 'enforce';
  if (field === 'enforcement' && bound.oneOf !== undefined && effective.on && !bound.oneOf.includes(enforcement)) report(['enforcement'], `is ${enforcement}, ${allowedText(bound)}`, effective.enforcement?.by ?? null);
  if (!upTo.present) {
    if (!(bound.locked === true && path.length === 0 && effective.present)) return true;
    report([], 'is set, and is locked to being absent', strongestIn(effective.tree) ?? effective.enabled?.by ?? null);
    return false;
  }
  if (effective.on !== upTo.on) {
    report(['enabled'], upTo.on ? 'is switched off, and a bound needs it on' : 'is switched on, and a bound keeps it off', effective.enabled?.by ?? null);
    return false;
  }
  if (effective.on && effective.shadow !== upTo.shadow) report(['enforcement'], `is ${enforcement}, and a bound keeps it ${upTo.shadow ? 'shadow' : 'enforce'}`, effective.enforcement?.by ?? null);
  return true;
}

interface BoundedValue {
  readonly segments: readonly string[];
  readonly node: MergedNode<PolicyRecord>;
  /** What the levels up to the bound's say. */
  readonly below: MergedNode<PolicyRecord> | undefined;
}

function checkValue(kind: AuthoringKind, active: ActiveBound, { segments, node, below }: BoundedValue, report: Report): void {
  const { bound } = active;
  const type = typeAt(kind.schema, segments);
  const value = plain(node);
  const by = strongestIn(node);
  if (bound.locked === true && !same(value, below === undefined ? undefined : plain(below), type)) {
    report(segments, below === undefined ? `is ${shown(value)}, and is locked to being absent` : `is ${shown(value)}, and is locked to ${shown(plain(below))}`, by);
  }
  if (bound.min !== undefined && !atLeast(value, bound.min, type)) report(segments, `is ${shown(value)}, at least ${bound.min} is allowed`, by);
  if (bound.max !== undefined && !atLeast(bound.max, value, type)) report(segments, `is ${shown(value)}, at most ${bound.max} is allowed`, by);
  if (bound.oneOf !== undefined && !allowed(value, bound.oneOf, type)) report(segments, `is ${shown(value)}, ${allowedText(bound)}`, by);
}

/** A list must consist of allowed values. */
function allowed(value: Json, accepted: readonly Json[], type: z.ZodType | undefined): boolean {
  const items = Array.isArray(value) ? (value as readonly Json[]) : [value];
  const itemType = Array.isArray(value) && type !== undefined ? typesBelow(type, '0')[0] : type;
  return items.every((item) => accepted.some((one) => same(item, one, itemType)));
}

function allowedText(bound: BoundDocument): string {
  return `one of ${(bound.oneOf ?? []).join(', ')} is allowed`;
}

function same(a: Json, b: Json | undefined, type: z.ZodType | undefined): boolean {
  if (b === undefined) return false;
  if (type === undefined) return JSON.stringify(a) === JSON.stringify(b);
  return meaningOf(a, type) === meaningOf(b, type);
}

/** Whether a ≥ b by value. What cannot be compared is outside of every range. */
function atLeast(a: Json, b: Json, type: z.ZodType | undefined): boolean {
  const order = compareMagnitudes(a, b, type);
  return order !== null && order >= 0;
}

function typeAt(schema: z.ZodType, segments: readonly string[]): z.ZodType | undefined {
  let types: readonly z.ZodType[] = [schema];
  for (const segment of segments) types = types.flatMap((type) => typesBelow(type, segment));
  return types[0];
}

/** Paths that exist and fit the pattern, where `*` stands for any entry. */
function matches(tree: MergedNode<PolicyRecord>, pattern: readonly string[]): string[][] {
  let found: { readonly path: string[]; readonly node: MergedNode<PolicyRecord> }[] = [{ path: [], node: tree }];
  for (const segment of pattern) {
    found = found.flatMap(({ path, node }) => {
      if (node.kind !== 'map') return [];
      const names = segment === '*' ? [...node.entries.keys()].sort() : [segment];
      return names.flatMap((name) => {
        const entry = node.entries.get(name);
        return entry === undefined ? [] : [{ path: [...path, name], node: entry }];
      });
    });
  }
  return found.map(({ path }) => path);
}

function plain(node: MergedNode<PolicyRecord>): Json {
  if (node.kind === 'leaf') return node.value;
  return Object.fromEntries([...node.entries].map(([name, entry]) => [name, plain(entry)]));
}

/** The strongest policy that set something at or below. */
function strongestIn(node: MergedNode<PolicyRecord>): PolicyRecord | null {
  let best: PolicyRecord | null = null;
  for (const { leaf } of leavesOf(node)) if (leaf.by !== null && (best === null || leaf.by.strength > best.strength)) best = leaf.by;
  return best;
}

function removerOf(section: MergedSection, segments: readonly string[]): PolicyRecord | null {
  for (let length = segments.length - 1; length >= 0; length--) {
    const above = nodeAt(section.tree, segments.slice(0, length));
    if (above?.kind !== 'map') continue;
    return above.removed.get(segments[length] ?? '') ?? strongestIn(above);
  }
  return null;
}

function shown(value: Json): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
