/** What one level of priority has: its hosts, and those of them that may be used now. */
export interface LevelHealth {
  readonly hosts: number;
  /** Those that a request can go to. */
  readonly usable: number;
  /** Those that are not known to be ill, whether they can be connected just now or not: panic sends requests to ill hosts, never to ones that are not there. */
  readonly healthy: number;
}

/** How requests are split over levels. Both arrays have one entry for each level. */
export interface LoadSplit {
  /** 0 to 1; together 1 wherever there is a host. */
  readonly shares: Float64Array;
  /** 1: the level has too few usable hosts for its share: requests go to all of them. */
  readonly panic: Uint8Array;
}

/**
 * Envoy's priority levels, without rounding: a level takes as much as its usable share times the overprovisioning allows, the next one the rest. Where
 * all of them together cannot take everything, they share it by what each can, and levels whose healthy share is below the panic threshold
 * use all of their hosts. Where nobody is usable, the first level that has hosts gets everything.
 */
export function splitLoad(levels: readonly LevelHealth[], overprovisioning: number, panicThreshold: number, into: LoadSplit): void {
  const { shares, panic } = into;
  let total = 0;
  for (let i = 0; i < levels.length; i++) total += capacity(levels[i] as LevelHealth, overprovisioning);
  const enough = total >= 1;
  const scale = enough ? 1 : total;
  let left = 1;
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i] as LevelHealth;
    const share = total === 0 ? 0 : Math.min(left, capacity(level, overprovisioning) / scale);
    left -= share;
    shares[i] = share;
    panic[i] = !enough && level.hosts > 0 && level.healthy / level.hosts < panicThreshold ? 1 : 0;
  }
  if (total > 0) return;
  for (let i = 0; i < levels.length; i++) {
    if ((levels[i] as LevelHealth).hosts === 0) continue;
    shares[i] = 1;
    return;
  }
}

/** The part of all requests that a level can take. */
function capacity({ hosts, usable }: LevelHealth, overprovisioning: number): number {
  return hosts === 0 ? 0 : Math.min(1, (usable / hosts) * overprovisioning);
}

export function emptySplit(levels: number): LoadSplit {
  return { shares: new Float64Array(levels), panic: new Uint8Array(levels) };
}
