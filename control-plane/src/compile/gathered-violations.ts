import type { SubjectKey } from '@remora/core/subject';
import type { Violation } from '@remora/core/violation';
import { documentLimits } from '@remora/model/document-limits';
import type { DocumentKey } from '../store/store.ts';
import { violationKey, type ContradictionTolerance } from './standing-contradictions.ts';

/** Places named in a message; more are counted. */
const placesShown = 3;

/**
 * Violations of a whole state: the same one at many places is told once, with the places. Bounded; a last one says how many
 * more there are. Sorted, so that the order of documents does not show.
 */
export class GatheredViolations {
  readonly #found = new Map<string, { readonly violation: Violation; readonly places: Set<string> }>();
  readonly #tolerance: ContradictionTolerance;
  #more = 0;

  /** What `tolerance` takes is none. */
  constructor(tolerance: ContradictionTolerance) {
    this.#tolerance = tolerance;
  }

  get any(): boolean {
    return this.#found.size > 0;
  }

  /** Whether it stands, and is tolerated. */
  takes(violation: Violation, owner: DocumentKey): boolean {
    return this.#tolerance.takes(violation, owner);
  }

  /** `owner`: the sidecars or the document that have it. Without one it is never tolerated. */
  add(violation: Violation, owner?: SubjectKey | DocumentKey, place?: string): void {
    if (this.#tolerance.takes(violation, owner)) return;
    const key = violationKey(violation);
    let found = this.#found.get(key);
    if (!found) {
      if (this.#found.size >= documentLimits.violations) {
        this.#more++;
        return;
      }
      this.#found.set(key, found = { violation, places: new Set() });
    }
    if (place !== undefined) found.places.add(place);
  }

  list(): readonly Violation[] {
    const list = [...this.#found.values()].map(({ violation, places }) => (places.size === 0 ? violation : { ...violation, message: `${violation.message}, for ${placesText([...places].sort())}` }));
    list.sort((a, b) => order(a.document ?? '', b.document ?? '') || order(a.pointer, b.pointer) || order(a.message, b.message));
    if (this.#more > 0) list.push({ pointer: '', code: 'more-violations', message: `${this.#more} more violations are not listed` });
    return list;
  }
}

function placesText(places: readonly string[]): string {
  const shown = places.slice(0, placesShown).join(', ');
  const more = places.length - placesShown;
  return more > 0 ? `${shown} and ${more} more ${more === 1 ? 'place' : 'places'}` : shown;
}

function order(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
