import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import type { ResolvedSettings } from '../resolve/settings-resolver.ts';
import { buildSection } from '../resolve/section.ts';
import type { BuiltSection, MergedSection } from '../resolve/section.ts';
import type { BuiltResource, ResourceStore } from './resource-store.ts';

/** Effective settings to their resource, each combination once. */
export class SettingsCompiler {
  readonly #kinds: ReadonlyMap<string, AuthoringKind>;
  readonly #resources: ResourceStore;
  readonly #settings = new WeakMap<ResolvedSettings, BuiltResource | 'none'>();
  readonly #sections = new WeakMap<MergedSection, BuiltSection>();
  /** Settings of one section. */
  readonly #alone = new WeakMap<MergedSection, BuiltResource>();

  constructor(kinds: ReadonlyMap<string, AuthoringKind>, resources: ResourceStore) {
    this.#kinds = kinds;
    this.#resources = resources;
  }

  /** null: nothing is set there. Only for settings without violations, or with contradictions that stand. */
  build(resolved: ResolvedSettings): BuiltResource | null {
    const known = this.#settings.get(resolved);
    if (known !== undefined) return known === 'none' ? null : known;
    const sections = [...resolved.sections.values()].filter((section) => !this.#isUsual(section)).map((section) => this.#section(section)).sort((a, b) => (a.kind < b.kind ? -1 : 1));
    const made = sections.length === 0 ? 'none' : this.#resource(sections);
    this.#settings.set(resolved, made);
    return made === 'none' ? null : made;
  }

  /** The same of one kind alone; null where it is off there. */
  buildOnly(kind: string, resolved: ResolvedSettings): BuiltResource | null {
    const section = resolved.sections.get(kind);
    if (section === undefined) return null;
    const known = this.#alone.get(section);
    if (known !== undefined) return known;
    const made = this.#resource([this.#section(section)]);
    this.#alone.set(section, made);
    return made;
  }

  #resource(sections: readonly BuiltSection[]): BuiltResource {
    return this.#resources.build({
      $case: 'settings',
      value: {
        sections: sections.map(({ kind, minFormat, body, shadow, origins }) => ({ kind, minFormat, body: Buffer.from(body), shadow, origins: [...origins] })),
      },
    });
  }

  /** What a sidecar does anyway does not travel: older ones need not know the kind, and content keeps its hash. */
  #isUsual({ kind, value }: MergedSection): boolean {
    return this.#kinds.get(kind)?.isUsual?.(value) ?? false;
  }

  #section(section: MergedSection): BuiltSection {
    const known = this.#sections.get(section);
    if (known) return known;
    const kind = this.#kinds.get(section.kind);
    if (!kind) throw new Error(`no kind ${section.kind}`);
    const made = buildSection(kind, section);
    this.#sections.set(section, made);
    return made;
  }
}
