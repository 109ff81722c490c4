import { kindOrder } from '@remora/policy-kit/order';
import { WireError, type RuntimeKind } from '@remora/policy-kit/runtime-kind';
import type { Section, Settings } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { policiesBehind, type EffectiveSection, type EffectiveSettings, type SectionOrigin } from './effective-settings.ts';
import type { SnapshotError } from './snapshot-error.ts';

type BareError = Omit<SnapshotError, 'resource'>;
export type SettingsResult =
  | { readonly ok: true; readonly settings: EffectiveSettings }
  | { readonly ok: false; readonly errors: readonly BareError[] };

const sectionsMax = 256;
const originsMax = 4_096;
const placeOf: ReadonlyMap<string, number> = new Map(kindOrder.map((place, i) => [place.name, i]));

/** Decodes every section with its kind; sections come out in the order in which kinds run. */
export function decodeSettings(wire: Settings, hash: string, kinds: ReadonlyMap<string, RuntimeKind<unknown>>): SettingsResult {
  const errors: BareError[] = [];
  if (wire.sections.length > sectionsMax) {
    return { ok: false, errors: [bare('', '', 'too-many', `must have at most ${sectionsMax} sections, has ${wire.sections.length}`)] };
  }
  const sections: EffectiveSection[] = [];
  const seen = new Set<string>();
  for (const section of wire.sections) {
    if (seen.has(section.kind)) {
      errors.push(bare(section.kind, '', 'duplicate', `has two sections of kind ${section.kind}`));
      continue;
    }
    seen.add(section.kind);
    const decoded = decodeSection(section, kinds, errors);
    if (decoded) sections.push(decoded);
  }
  if (errors.length > 0) return { ok: false, errors };
  sections.sort((a, b) => place(a.kind) - place(b.kind));
  return { ok: true, settings: Object.freeze({ hash, sections: Object.freeze(sections) }) };
}

function decodeSection(section: Section, kinds: ReadonlyMap<string, RuntimeKind<unknown>>, errors: BareError[]): EffectiveSection | null {
  const origins = decodeOrigins(section);
  const runtime = kinds.get(section.kind);
  const name = section.kind.slice(0, 64);
  const fail = (pointer: string, code: string, message: string): null => {
    errors.push(bare(name, pointer, code, message, policiesBehind(origins, pointer)));
    return null;
  };
  if (!runtime) return fail('', 'unknown-kind', `this build does not know the policy kind ${name}`);
  if (section.minFormat > runtime.format) {
    return fail('', 'newer-format', `${name} needs format ${section.minFormat}, this build reads up to ${runtime.format}`);
  }
  if (section.origins.length > originsMax) return fail('', 'too-many', `must have at most ${originsMax} origins`);
  try {
    const settings = runtime.decode(section.body);
    return Object.freeze({ kind: section.kind, runtime, settings, shadow: section.shadow, origins });
  } catch (error) {
    if (error instanceof WireError) return fail(error.pointer, error.code, error.message);
    return fail('', 'undecodable', `the bytes of ${name} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function decodeOrigins(section: Section): readonly SectionOrigin[] {
  return Object.freeze(section.origins.slice(0, originsMax).map(({ pointer, policy }) => Object.freeze({ pointer, policy })));
}

/** Kinds that the order does not list (extensions of tests) run last, in the order of the wire. */
function place(kind: string): number {
  return placeOf.get(kind) ?? kindOrder.length;
}

function bare(kind: string, pointer: string, code: string, message: string, policies: readonly string[] = []): BareError {
  return { kind, pointer, code, message, policies };
}
