import type { EffectiveSection, FieldProvenance, Place } from './effective.ts';

/** Answers for one state of the documents what holds at a place, and why. */
export interface Resolver {
  /** Kinds that are enforced at the place, in their order; caller-side kinds only where the place has a caller. */
  effective(place: Place): readonly EffectiveSection[];
  /** Provenance of all fields, or of those at or below `field` (`/retry`, `/retry/retries`); null for a place that does not exist. */
  explain(place: Place, field?: string): readonly FieldProvenance[] | null;
}
