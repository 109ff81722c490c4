import type { PlanDocument } from '@remora/model/plan-schema';
import type { PlanSharing } from '@remora/policy-kit/authoring-kind';

/** What the limits and quotas of these Plans need of shared counts. Plans do not change often: one answer for each set of them. */
export function planSharing(plans: ReadonlyMap<string, PlanDocument>): PlanSharing {
  let known = made.get(plans);
  if (known === undefined) made.set(plans, known = look(plans));
  return known;
}

const made = new WeakMap<ReadonlyMap<string, PlanDocument>, PlanSharing>();

function look(plans: ReadonlyMap<string, PlanDocument>): PlanSharing {
  let [fleet, service, quotas] = [false, false, false];
  for (const plan of plans.values()) {
    for (const { sharedBy } of Object.values(plan.limits ?? {})) {
      fleet ||= sharedBy === 'fleet';
      service ||= sharedBy === 'service';
    }
    quotas ||= Object.keys(plan.quotas ?? {}).length > 0;
  }
  return Object.freeze({ limits: Object.freeze({ store: fleet, instances: fleet || service }), quotas });
}
