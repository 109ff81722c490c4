import { AgingMap } from '@remora/core/aging-map';
import type { Violation } from '@remora/core/violation';
import { sectionOf } from '@remora/model/policy-schema';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { boundBreaches } from './bounds.ts';
import type { ActiveBound } from './bounds.ts';
import { leavesOf, writtenPointers } from './merge.ts';
import { policiesAt, targetCovers } from './place-policies.ts';
import type { Spot } from './place-policies.ts';
import type { DocumentState } from './document-state.ts';
import type { KindSide, PolicyRecord } from './policy-index.ts';
import { describeTarget } from './policy-index.ts';
import { implyingAmong, mergeSection } from './section.ts';
import type { ImplyingKind, MergedSection } from './section.ts';

/** What the policies of one spot amount to. Shared by all spots with the same policies and exceptions. */
export interface ResolvedSettings {
  /** Equal for equal policies; not content. */
  readonly key: string;
  readonly side: KindSide;
  readonly policies: readonly PolicyRecord[];
  readonly bounds: readonly ActiveBound[];
  /** Sections that are on, by kind, in the order of kinds; those that others bring along last. */
  readonly sections: ReadonlyMap<string, MergedSection>;
  /** Conflicts, contradictions, broken bounds; without the place. */
  readonly violations: readonly Violation[];
}

const keptMax = 50_000;

/** Merges the policies of places, each combination once. */
export class SettingsResolver {
  readonly #kinds: ReadonlyMap<string, AuthoringKind>;
  readonly #settings = new AgingMap<ResolvedSettings>(keptMax);
  readonly #sections = new AgingMap<MergedSection>(keptMax);

  constructor(kinds: ReadonlyMap<string, AuthoringKind>) {
    this.#kinds = kinds;
  }

  resolve(state: DocumentState, side: KindSide, spot: Spot): ResolvedSettings {
    const policies = policiesAt(state, side, spot);
    const ofGateway = spot.owner.startsWith('gateway/');
    let key: string = ofGateway ? `${side}@gateway` : side;
    let bounds: ActiveBound[] | null = null;
    for (const record of policies) {
      key += `,${record.id}`;
      if (record.bounds.length === 0) continue;
      bounds ??= [];
      for (const [index, bound] of record.bounds.entries()) {
        if (bound.except?.some((target) => targetCovers(state, target, spot)) === true) key += `!${index}`;
        else bounds.push({ record, index, bound });
      }
    }
    const known = this.#settings.get(key);
    if (known) return known;
    const made = this.#make({ key, side, policies, bounds: bounds ?? [] }, ofGateway);
    this.#settings.put(key, made);
    return made;
  }

  /** One kind over some policies, weak to strong, with what brings it along. */
  section(kind: AuthoringKind, policies: readonly PolicyRecord[], implying: readonly ImplyingKind[] = []): MergedSection {
    const having = policies.filter((record) => sectionOf(record.policy, kind.name) !== undefined);
    // Who says something of a kind needs nobody who asks for it.
    const bringing = having.length > 0 && kind.impliedBy === undefined ? [] : implying;
    const along = bringing.map((one) => `${one.shadow ? '~' : '+'}${one.kind}`).join('');
    const key = `${kind.name}:${having.map(({ id }) => id).join(',')}${along}`;
    const known = this.#sections.get(key);
    if (known) return known;
    const made = mergeSection(kind, having, bringing);
    this.#sections.put(key, made);
    return made;
  }

  /** A whole fleet was resolved: what the one before needed may go. */
  age(): void {
    this.#settings.age();
    this.#sections.age();
  }

  #make({ key, side, policies, bounds }: Pick<ResolvedSettings, 'key' | 'side' | 'policies' | 'bounds'>, ofGateway: boolean): ResolvedSettings {
    const sections = new Map<string, MergedSection>();
    const violations: Violation[] = [];
    const kinds = [...this.#kinds.values()].filter((kind) => kind.side === side && !(ofGateway && kind.owners === 'services'));
    const alone = kinds.filter((kind) => kind.impliedBy === undefined);
    const alongside = kinds.filter((kind) => kind.impliedBy !== undefined);
    // What policies say of kinds that ask for others, before anything is brought along.
    const asking = new Map(kinds.filter((kind) => kind.brings !== undefined).map((kind) => [kind.name, this.section(kind, policies)]));
    for (const kind of [...alone, ...alongside]) {
      const section = this.section(kind, policies, implyingAmong(kind, kind.impliedBy === undefined ? asking : sections, this.#kinds));
      if (section.on) sections.set(kind.name, section);
      violations.push(...conflictsOf(kind, policies), ...contradictionsOf(section), ...this.#breaches(kind, section, policies, bounds));
    }
    violations.push(...amongSections(kinds, sections));
    return Object.freeze({ key, side, policies, bounds, sections, violations });
  }

  #breaches(kind: AuthoringKind, section: MergedSection, policies: readonly PolicyRecord[], bounds: readonly ActiveBound[]): Violation[] {
    const prefix = `/${kind.name}`;
    return bounds
      .filter(({ bound }) => bound.field === prefix || bound.field.startsWith(`${prefix}/`))
      .flatMap((active) => {
        const upTo = this.section(kind, policies.filter(({ strength }) => strength <= active.record.strength), section.implying);
        return boundBreaches(kind, active, section, upTo).map(({ pointer, text, by }): Violation => {
          const bound = `bound ${active.index} of Policy/${active.record.policy.name} on ${active.bound.field}`;
          if (by !== null) return { document: `Policy/${by.policy.name}`, pointer, code: 'bound-broken', message: `${text} (${bound})` };
          return { document: `Policy/${active.record.policy.name}`, pointer: `/bounds/${active.index}`, code: 'bound-broken', message: `${pointer} ${text}, and no policy sets it` };
        });
      });
  }
}

/** Two policies of equal strength that write the same field. */
function conflictsOf(kind: AuthoringKind, policies: readonly PolicyRecord[]): Violation[] {
  const found: Violation[] = [];
  for (let i = 0; i < policies.length;) {
    const strength = policies[i]?.strength;
    let end = i + 1;
    while (end < policies.length && policies[end]?.strength === strength) end++;
    if (end - i > 1) found.push(...conflictsAmong(kind, policies.slice(i, end)));
    i = end;
  }
  return found;
}

function conflictsAmong(kind: AuthoringKind, equals: readonly PolicyRecord[]): Violation[] {
  const found: Violation[] = [];
  const written: { readonly pointer: string; readonly tag: string; readonly record: PolicyRecord }[] = [];
  for (const record of equals) {
    const section = sectionOf(record.policy, kind.name);
    if (section === undefined) continue;
    const own = [...writtenPointers(kind.schema, section, `/${kind.name}`)].map(({ pointer, value, tag }) => ({ pointer, tag: tag ? JSON.stringify(value) : '', record }));
    for (const mine of own) {
      const other = written.find((one) => overlaps(one.pointer, mine.pointer) && (mine.tag === '' || mine.tag !== one.tag));
      if (other === undefined) continue;
      found.push({
        document: `Policy/${record.policy.name}`, pointer: mine.pointer, code: 'conflict',
        message: `Policy/${other.record.policy.name} sets ${other.pointer} too, with a target of the same strength (${describeTarget(other.record.policy)} and ${describeTarget(record.policy)}): give one of them a narrower target, or set it in one place`,
      });
    }
    written.push(...own);
  }
  return found;
}

function overlaps(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);
}

/** What sections have against each other. A section that contradicts itself already is not looked at again. */
function amongSections(kinds: readonly AuthoringKind[], sections: ReadonlyMap<string, MergedSection>): Violation[] {
  const others = new Map([...sections].map(([name, { value }]) => [name, value] as const));
  return kinds.flatMap((kind) => {
    const section = sections.get(kind.name);
    if (section === undefined || kind.checkBeside === undefined || section.violations.length > 0) return [];
    return contradictionsOf(section, kind.checkBeside(section.value, others));
  });
}

/** What the merged whole has against itself, told at the strongest policy that set the field. */
function contradictionsOf(section: MergedSection, violations = section.violations): Violation[] {
  return violations.map((violation) => {
    const by = culprit(section, violation.pointer);
    return { ...violation, pointer: `/${section.kind}${violation.pointer}`, ...(by === null ? {} : { document: `Policy/${by.policy.name}` }) };
  });
}

function culprit(section: MergedSection, pointer: string): PolicyRecord | null {
  let near: PolicyRecord | null = null;
  let any: PolicyRecord | null = null;
  for (const { pointer: at, leaf } of leavesOf(section.tree)) {
    if (leaf.by === null) continue;
    if (any === null || leaf.by.strength > any.strength) any = leaf.by;
    if (overlaps(at, pointer) && (near === null || leaf.by.strength > near.strength)) near = leaf.by;
  }
  return near ?? any ?? section.enabled?.by ?? null;
}
