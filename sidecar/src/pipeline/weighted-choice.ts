import type { Random } from '@remora/core/random';
import { hashText } from '@remora/core/text-hash';
import type { Head } from '@remora/http/head';
import type { StickyHeader, WeightedTarget } from '../generation/places.ts';

/**
 * By weight among those that have endpoints: an empty one yields its share. Null: none has any. With `sticky`, the value of that header decides and
 * not chance: it has a place in the sum of all weights, the same for every caller, so that where one of two weights grows, values only move to
 * that one, and a target that is empty for a while moves none but its own.
 */
export function chooseTarget<T extends WeightedTarget>(targets: readonly T[], sticky: StickyHeader | null, head: Head, random: Random): T | null {
  const only = targets.length === 1 ? (targets[0] as T) : null;
  if (only !== null) return only.target.empty ? null : only;
  let whole = 0;
  let filled = 0;
  for (const { target, weight } of targets) {
    whole += weight;
    if (!target.empty) filled += weight;
  }
  if (filled === 0) return null;
  const place = sticky === null ? -1 : placeOf(sticky, head);
  if (place < 0) return filledAt(targets, random.next() * filled);
  let at = place * whole;
  for (const target of targets) {
    if (at < target.weight) return target.target.empty ? filledAt(targets, (at / target.weight) * filled) : target;
    at -= target.weight;
  }
  return filledAt(targets, filled);
}

/** From 0 to below 1; -1: the request does not have the header, or nothing in it. */
function placeOf({ id, seed }: StickyHeader, head: Head): number {
  const value = head.has(id) ? head.valueAt(id, 0) : '';
  return value === '' ? -1 : hashText(value, seed) / 0x1_0000_0000;
}

function filledAt<T extends WeightedTarget>(targets: readonly T[], place: number): T | null {
  let at = place;
  for (const target of targets) {
    if (target.target.empty || target.weight === 0) continue;
    at -= target.weight;
    if (at < 0) return target;
  }
  return targets.findLast(({ target, weight }) => weight > 0 && !target.empty) ?? null;
}
