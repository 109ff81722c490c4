/** How a new host is let in. */
export interface SlowStart {
  /** 0: at once. */
  readonly windowMs: number;
  /** 1: evenly; above, faster at first. */
  readonly aggression: number;
  /** Share of its weight that it begins with, 0 to 1. */
  readonly minWeight: number;
}

/** Share of its weight that a host has at this age: Envoy's (age / window) ^ (1 / aggression), not below `minWeight`. */
export function slowStartFactor(ageMs: number, { windowMs, aggression, minWeight }: SlowStart): number {
  if (ageMs >= windowMs) return 1;
  const part = Math.max(1, ageMs) / windowMs;
  return Math.max(minWeight, aggression === 1 ? part : part ** (1 / aggression));
}
