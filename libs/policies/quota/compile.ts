import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Quota } from './gen/quota.ts';
import { quotaDefaults, quotaSchema, type EffectiveQuota } from './schema.ts';

/** What consumers may use in an hour, a day, a month, by their Plans: provider side. */
export const quotaAuthoring: AuthoringKind = {
  name: 'quota',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  schema: quotaSchema,
  defaults: quotaDefaults,
  consumers: true,
  // While no Plan has a quota nothing is counted.
  sharing: (_, { quotas }) => ({ store: quotas, instances: quotas }),
  compile: (effective) => {
    const { headers, onStoreFailure } = effective as unknown as EffectiveQuota;
    return { minFormat: 1, body: Quota.encode({ withoutHeaders: !headers, onStoreFailure }).finish() };
  },
};
