import type { Random } from '@remora/core/random';
import type { Candidate, Tier } from './cluster.ts';

/**
 * Least request of two: two candidates are drawn by weight, the one with fewer requests per weight is taken. Endpoints in `avoid` and those
 * that could not be connected just now are passed over as long as a tier has others; tiers are tried in order, and where everybody
 * is passed over, the first tier is used anyway. Null where there is nobody.
 */
export function choose(tiers: readonly Tier[], avoid: readonly string[], random: Random, now: number): Candidate | null {
  for (let i = 0; i < tiers.length; i++) {
    const found = chooseIn(tiers[i] as Tier, avoid, random, now);
    if (found !== null) return found;
  }
  const first = tiers[0];
  return first === undefined ? null : draw(first, random);
}

function chooseIn(tier: Tier, avoid: readonly string[], random: Random, now: number): Candidate | null {
  const { candidates } = tier;
  if (candidates.length === 1) {
    const only = candidates[0] as Candidate;
    return usable(only, avoid, now) ? only : null;
  }
  const one = draw(tier, random);
  const other = draw(tier, random);
  const first = usable(one, avoid, now) ? one : null;
  const second = usable(other, avoid, now) ? other : null;
  if (first !== null && second !== null) return load(second) < load(first) ? second : first;
  return first ?? second ?? scan(candidates, avoid, random, now);
}

/** Both draws were unlucky: the first usable one from a random place on. */
function scan(candidates: readonly Candidate[], avoid: readonly string[], random: Random, now: number): Candidate | null {
  const start = Math.floor(random.next() * candidates.length);
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[(start + i) % candidates.length] as Candidate;
    if (usable(candidate, avoid, now)) return candidate;
  }
  return null;
}

function draw({ candidates, cumulative }: Tier, random: Random): Candidate {
  if (cumulative === null) return candidates[Math.floor(random.next() * candidates.length)] as Candidate;
  const at = random.next() * (cumulative[cumulative.length - 1] as number);
  let low = 0;
  let high = cumulative.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at < (cumulative[middle] as number)) high = middle;
    else low = middle + 1;
  }
  return candidates[low] as Candidate;
}

function usable({ id, pool }: Candidate, avoid: readonly string[], now: number): boolean {
  return pool.downUntil <= now && (avoid.length === 0 || !avoid.includes(id));
}

function load({ pool, weight }: Candidate): number {
  return (pool.active + 1) / Math.max(weight, 1e-9);
}
