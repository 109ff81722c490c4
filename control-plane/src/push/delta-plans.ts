import type { BaseContent, Content } from './content.ts';

/** What has to be sent to get from one content to another. */
export interface DeltaPlan {
  readonly hashes: readonly string[];
  /** Encoded resources, without framing. */
  readonly bytes: number;
}

const plansMax = 1_024;

/** Plans are computed once for all streams on the same way; the last 1,024 are kept. */
export class DeltaPlans {
  readonly #plans = new Map<string, DeltaPlan>();

  /** `base` null: everything. */
  between(base: BaseContent | null, target: Content): DeltaPlan {
    const key = `${base?.hash ?? ''}>${target.hash}`;
    const known = this.#plans.get(key);
    if (known) return known;
    const plan = planOf(base, target);
    if (this.#plans.size >= plansMax) {
      const oldest = this.#plans.keys().next();
      if (!oldest.done) this.#plans.delete(oldest.value);
    }
    this.#plans.set(key, plan);
    return plan;
  }
}

function planOf(base: BaseContent | null, target: Content): DeltaPlan {
  const hashes: string[] = [];
  let bytes = 0;
  for (const [hash, resource] of target.resources) {
    if (base?.resources.has(hash)) continue;
    hashes.push(hash);
    bytes += resource.length;
  }
  return { hashes, bytes };
}
