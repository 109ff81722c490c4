import type { JsonObject } from '@remora/core/canonical-json';
import { cidr, entryName } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { entriesMax, networksMax } from './wire.ts';

const networks = z.union([cidr(), z.array(cidr()).min(1).max(networksMax)], {
  error: () => 'must be a network such as 10.0.0.0/8, or a list of them',
});

function networkMap() {
  return z.record(entryName(), networks).refine((map) => Object.keys(map).length <= entriesMax, {
    error: `at most ${entriesMax} entries are accepted`,
    params: { code: 'too-many' },
  });
}

/** `ipAccess` as authored: named entries of one network or a list of them. */
export const ipAccessSchema = z.strictObject({
  allow: networkMap().optional(),
  deny: networkMap().optional(),
  revoke: z.boolean().optional(),
});

/** The section after merging: what `compile` gets. */
export interface EffectiveIpAccess {
  readonly allow?: Readonly<Record<string, string | readonly string[]>>;
  readonly deny?: Readonly<Record<string, string | readonly string[]>>;
  readonly revoke?: boolean;
}

export const ipAccessDefaults: JsonObject = { revoke: false };
