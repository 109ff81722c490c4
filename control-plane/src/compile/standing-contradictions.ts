import type { SubjectKey } from '@remora/core/subject';
import type { Violation } from '@remora/core/violation';
import type { DocumentKey } from '../store/store.ts';

/**
 * What stored documents contradict each other in, although today they could not be written so: an older build took them. They are enforced as before and told,
 * by what they are told as and where they hold. A write is not refused for what stood before it, unless it writes the document that is at fault.
 */
export type StandingContradictions = ReadonlyMap<string, StandingContradiction>;

export interface StandingContradiction {
  readonly violation: Violation;
  /** Sidecars whose settings have it; documents that have it by themselves. */
  readonly owners: ReadonlySet<SubjectKey | DocumentKey>;
}

const noContradictions: StandingContradictions = new Map();

export interface ToleranceOptions {
  /** null: whatever stands may stand, as where a store is opened. */
  readonly before: StandingContradictions | null;
  /** Documents that are being written. */
  readonly written: ReadonlySet<DocumentKey>;
}

/** Takes what stands during one step, and tells it from what the step would bring. */
export class ContradictionTolerance {
  readonly #options: ToleranceOptions;
  readonly #found = new Map<string, { readonly violation: Violation; readonly owners: Set<SubjectKey | DocumentKey> }>();

  constructor(options: ToleranceOptions) {
    this.#options = options;
  }

  /** Whether it stands, and is no reason to refuse the step. */
  takes(violation: Violation, owner: SubjectKey | DocumentKey | undefined): boolean {
    const { before, written } = this.#options;
    if (owner === undefined || !canBeEnforced(violation) || written.has(violation.document as DocumentKey)) return false;
    const key = violationKey(violation);
    if (before !== null && !before.has(key)) return false;
    const found = this.#found.get(key);
    if (found === undefined) this.#found.set(key, { violation, owners: new Set([owner]) });
    else found.owners.add(owner);
    return true;
  }

  /** What was taken at this owner. */
  at(owner: SubjectKey | DocumentKey): Violation[] {
    return [...this.#found.values()].filter(({ owners }) => owners.has(owner)).map(({ violation }) => violation);
  }

  /** After the step: what was found, and what stood where nothing was looked at. */
  standing(lookedAt: (owner: SubjectKey | DocumentKey) => boolean): StandingContradictions {
    const { before } = this.#options;
    if (this.#found.size === 0 && (before === null || before.size === 0)) return noContradictions;
    const all = new Map(this.#found);
    for (const [key, { violation, owners }] of before ?? noContradictions) {
      const kept = [...owners].filter((owner) => !lookedAt(owner));
      if (kept.length > 0) all.set(key, { violation, owners: new Set([...kept, ...(this.#found.get(key)?.owners ?? [])]) });
    }
    return all;
  }
}

/** Two violations with the same key are the same one at different places. */
export function violationKey({ document, pointer, code, message }: Violation): string {
  return JSON.stringify([document, pointer, code, message]);
}

/** Refused where they are written because nobody can mean them; what they compile to is well-formed. */
function canBeEnforced({ code, pointer }: Violation): boolean {
  return code === 'contradiction' || code === 'zero-weights' || (code === 'unknown-port' && (pointer === '/healthCheck/port' || pointer.startsWith('/mtls/ports/')));
}
