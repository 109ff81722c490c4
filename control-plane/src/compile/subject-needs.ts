import type { AuthoringKind, ConsumerProof, PlanSharing, Sharing } from '@remora/policy-kit/authoring-kind';
import type { ResolvedSettings } from '../resolve/settings-resolver.ts';

/** What a sidecar must be told beside its snapshot, as its settings say. */
export interface SubjectNeeds extends Sharing {
  /** The ways in which consumers are proved, sorted; null: it does not look for consumers. */
  readonly consumers: readonly ConsumerProof[] | null;
  /** Names of Secrets, sorted. */
  readonly secrets: readonly string[];
}

export const noNeeds: SubjectNeeds = Object.freeze({ consumers: null, secrets: Object.freeze([]), store: false, instances: false });

/** Gathers the needs of one subject while it is compiled. */
export class NeedsBuilder {
  readonly #kinds: ReadonlyMap<string, AuthoringKind>;
  readonly #plans: PlanSharing;
  readonly #proofs = new Set<ConsumerProof>();
  readonly #secrets = new Set<string>();
  readonly #seen = new Set<ResolvedSettings>();
  #consumers = false;
  #store = false;
  #instances = false;

  constructor(kinds: ReadonlyMap<string, AuthoringKind>, plans: PlanSharing) {
    this.#kinds = kinds;
    this.#plans = plans;
  }

  /** Whether some settings so far need the store. */
  get store(): boolean {
    return this.#store;
  }

  addSettings(resolved: ResolvedSettings): void {
    if (this.#seen.has(resolved)) return;
    this.#seen.add(resolved);
    for (const { kind: name, value } of resolved.sections.values()) {
      const kind = this.#kinds.get(name);
      if (kind?.consumers !== undefined) this.#consumers = true;
      if (Array.isArray(kind?.consumers)) for (const proof of kind.consumers as readonly ConsumerProof[]) this.#proofs.add(proof);
      for (const secret of kind?.secrets?.(value) ?? []) this.#secrets.add(secret);
      const sharing = kind?.sharing?.(value, this.#plans);
      this.#store ||= sharing?.store ?? false;
      this.#instances ||= sharing?.instances ?? false;
    }
  }

  addSecret(name: string): void {
    this.#secrets.add(name);
  }

  finish(): SubjectNeeds {
    if (!this.#consumers && this.#secrets.size === 0 && !this.#store && !this.#instances) return noNeeds;
    return Object.freeze({ consumers: this.#consumers ? [...this.#proofs].sort() : null, secrets: [...this.#secrets].sort(), store: this.#store, instances: this.#instances });
  }
}
