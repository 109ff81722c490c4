import type { JsonObject } from '@remora/core/canonical-json';
import { oneOf } from '@remora/policy-kit/scalars';
import { z } from 'zod';

/** `quota` as authored. How much a consumer may use is in its Plan. */
export const quotaSchema = z.strictObject({
  headers: z.boolean().optional().meta({ description: 'whether responses say what is left' }),
  onStoreFailure: oneOf(['degrade', 'open', 'closed']).optional().meta({ description: 'what holds while the store of the Mesh says nothing' }),
});

export const quotaDefaults: JsonObject = { headers: true, onStoreFailure: 'degrade' };

/** The section after merging. */
export interface EffectiveQuota {
  readonly headers: boolean;
  readonly onStoreFailure: string;
}
