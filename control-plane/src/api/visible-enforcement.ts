import type { Access } from '../operators/access.ts';
import type { EnforcementCounts, EnforcementOf } from '../push/push-hub.ts';

/** Of a revision, or of what is in none. */
interface Enforced {
  readonly counts: Partial<EnforcementCounts>;
  readonly sidecars: readonly EnforcementOf[];
}

/** Who enforces it, as far as the sidecars are in the scope. Counts are of these alone. */
export function visibleEnforcement<Shown extends Enforced>(access: Pick<Access, 'seesAll' | 'sees'>, enforcement: Shown): Shown {
  if (access.seesAll) return enforcement;
  const sidecars = enforcement.sidecars.filter(({ subject }) => access.sees(subject));
  const counts: Record<string, number> = { ...Object.fromEntries(Object.keys(enforcement.counts).map((name) => [name, 0])), total: sidecars.length };
  for (const { outcome } of sidecars) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return { ...enforcement, sidecars, counts };
}
