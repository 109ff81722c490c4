import type { Access } from '../operators/access.ts';
import type { Enforcement } from '../push/push-hub.ts';

/** Who enforces a revision, as far as the sidecars are in the scope. Counts are of these alone. */
export function visibleEnforcement(access: Access, enforcement: Enforcement): Enforcement {
  if (access.seesAll) return enforcement;
  const sidecars = enforcement.sidecars.filter(({ subject }) => access.sees(subject));
  const counts = { total: sidecars.length, applied: 0, pending: 0, refused: 0, offline: 0, superseded: 0 };
  for (const { outcome } of sidecars) counts[outcome] += 1;
  return { ...enforcement, sidecars, counts };
}
