import type { JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import type { PlanDocument } from '@remora/model/plan-schema';
import { sectionOf } from '@remora/model/policy-schema';
import type { PolicyDocument } from '@remora/model/policy-schema';

/** Pointers to what of a policy counts in the store of the Mesh. */
export function policyStoreUses(policy: PolicyDocument): string[] {
  const limits = sectionOf(policy, 'rateLimit')?.['limits'];
  const uses = typeof limits === 'object' && limits !== null ? fleetLimits(limits as JsonObject).map((name) => joinPointer(joinPointer('/rateLimit/limits', name), 'sharedBy')) : [];
  const quota = sectionOf(policy, 'quota');
  return quota === undefined || quota['enabled'] === false ? uses : [...uses, '/quota'];
}

/** The same of a Plan. */
export function planStoreUses(plan: PlanDocument | undefined): string[] {
  const uses = fleetLimits((plan?.limits ?? {}) as unknown as JsonObject).map((name) => joinPointer(joinPointer('/limits', name), 'sharedBy'));
  return Object.keys(plan?.quotas ?? {}).length > 0 ? [...uses, '/quotas'] : uses;
}

export function storeProblems(document: string, uses: readonly string[], hasStore: boolean): Violation[] {
  if (hasStore) return [];
  return uses.map((pointer) => (pointer.endsWith('/sharedBy')
    ? { document, pointer, code: 'no-store', message: 'it is counted in the store of the Mesh, and the Mesh has none', expected: 'stores.redis in the Mesh document, or sharedBy: service, which needs no store' }
    : {
      document, pointer, code: 'no-store', message: 'quotas are counted in the store of the Mesh, and the Mesh has none: without it they would begin anew with every sidecar that is started',
      expected: 'stores.redis in the Mesh document, or instead of the quota a limit with key: [consumer] and sharedBy: service, which needs no store',
    }));
}

function fleetLimits(limits: JsonObject): string[] {
  return Object.entries(limits).filter(([, limit]) => typeof limit === 'object' && limit !== null && (limit as JsonObject)['sharedBy'] === 'fleet').map(([name]) => name);
}
