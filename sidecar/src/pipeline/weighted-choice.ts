import type { Random } from '@remora/core/random';
import type { WeightedTarget } from '../generation/places.ts';

/** By weight among those that have endpoints: an empty one yields its share. Null: none has any. */
export function chooseTarget<T extends WeightedTarget>(targets: readonly T[], random: Random): T | null {
  const only = targets.length === 1 ? (targets[0] as T) : null;
  if (only !== null) return only.target.empty ? null : only;
  let sum = 0;
  for (const { target, weight } of targets) if (!target.empty) sum += weight;
  if (sum === 0) return null;
  let at = random.next() * sum;
  for (const target of targets) {
    if (target.target.empty || target.weight === 0) continue;
    at -= target.weight;
    if (at < 0) return target;
  }
  return targets.findLast(({ target, weight }) => weight > 0 && !target.empty) ?? null;
}
