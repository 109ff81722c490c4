import { AgingMap } from '@remora/core/aging-map';
import type { BaseContent, Content } from './content.ts';

/** What has to be sent to get from one content to another. */
export interface DeltaPlan {
  readonly hashes: readonly string[];
  /** Encoded resources, without framing. */
  readonly bytes: number;
}

/** Of each of two generations. */
const plansMax = 512;

/** Plans are computed once for all streams on the same way; the last 512 to 1,024 that were asked for are kept. */
export class DeltaPlans {
  readonly #plans = new AgingMap<DeltaPlan>(plansMax);

  /** `base` null: everything. */
  between(base: BaseContent | null, target: Content): DeltaPlan {
    const key = `${base?.hash ?? ''}>${target.hash}`;
    const known = this.#plans.get(key);
    if (known) return known;
    const plan = planOf(base, target);
    this.#plans.put(key, plan);
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
