import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';

/** The effective policies of one place, in the order in which they run. Shared by all places that resolve to the same. */
export interface EffectiveSettings {
  /** SHA-256 (hex) of the resource; '' where nothing is set. */
  readonly hash: string;
  /** Provider-side kinds in pipeline order, then caller-side kinds outermost first (policy-kit/order.ts). */
  readonly sections: readonly EffectiveSection[];
}

export interface EffectiveSection {
  readonly kind: string;
  readonly runtime: RuntimeKind<unknown>;
  /** What the kind's `decode` answered: frozen, the settings type of its `wire.ts`. */
  readonly settings: unknown;
  /** Decides and counts, lets pass. */
  readonly shadow: boolean;
  /** Which policy decided which field or named entry; sorted by pointer. Pointers into the section. */
  readonly origins: readonly SectionOrigin[];
}

export interface SectionOrigin {
  readonly pointer: string;
  readonly policy: string;
}

export const noSettings: EffectiveSettings = Object.freeze({ hash: '', sections: Object.freeze([]) });

/**
 * The policies behind a pointer into a section: the origin that names it or the nearest above it, else those below it,
 * else all of the section. At most 16, without repetition.
 */
export function policiesBehind(origins: readonly SectionOrigin[], pointer: string): readonly string[] {
  const field = policiesOfField(origins, pointer);
  return field.length > 0 ? field : distinct(origins);
}

/** The same where nothing but the field itself counts: empty where it has its default. */
export function policiesOfField(origins: readonly SectionOrigin[], pointer: string): readonly string[] {
  let nearest: SectionOrigin | null = null;
  for (const origin of origins) {
    if (covers(origin.pointer, pointer) && origin.pointer.length >= (nearest?.pointer.length ?? 0)) nearest = origin;
  }
  return nearest ? [nearest.policy] : distinct(origins.filter((origin) => covers(pointer, origin.pointer)));
}

function distinct(origins: readonly SectionOrigin[]): readonly string[] {
  return [...new Set(origins.map((origin) => origin.policy))].slice(0, 16);
}

/** Whether `pointer` is `above` or inside of it. */
function covers(above: string, pointer: string): boolean {
  return pointer === above || pointer.startsWith(`${above}/`);
}
