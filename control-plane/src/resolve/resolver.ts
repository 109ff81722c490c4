import type { EffectiveSection, FieldProvenance, Place } from './effective.ts';
import type { Spot } from './place-policies.ts';
import type { KindSide } from './policy-index.ts';
import type { ResolvedSettings } from './settings-resolver.ts';

/** Answers for one state of the documents what holds at a place, and why. */
export interface Resolver {
  /**
   * Kinds that are enforced at the place, in their order. Caller-side kinds are those of the caller; without one, of
   * callers that no policy names.
   */
  effective(place: Place): readonly EffectiveSection[];
  /** Provenance of all fields, or of those at or below `field` (`/retry`, `/retry/retries`); null for a place that does not exist. */
  explain(place: Place, field?: string): readonly FieldProvenance[] | null;
  /** The merged settings of one side, as compilation uses them; null where the owner, its route or the caller does not exist. */
  settings(side: KindSide, spot: Spot): ResolvedSettings | null;
}
