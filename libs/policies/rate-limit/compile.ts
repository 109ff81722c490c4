import { parseDurationMs } from '@remora/core/units';
import type { JsonObject } from '@remora/core/canonical-json';
import type { AuthoringKind, PlanSharing, Sharing } from '@remora/policy-kit/authoring-kind';
import { asksWho } from '@remora/policy-kit/entry-match';
import { compileEntryMatch } from '@remora/policy-kit/entry-match-schema';
import { RateLimit, type Limit } from './gen/rate-limit.ts';
import { needsIdentity } from './identity-keys.ts';
import {
  checkRateLimit, effectiveBurst, limitDefaults, rateLimitDefaults, rateLimitSchema, type EffectiveLimit, type EffectiveRateLimit,
} from './schema.ts';

/** Limits on requests: provider side. */
export const rateLimitAuthoring: AuthoringKind = {
  name: 'rateLimit',
  side: 'provider',
  tcp: true,
  always: false,
  shadow: true,
  format: 4,
  sharing: shares,
  schema: rateLimitSchema,
  defaults: rateLimitDefaults,
  entryDefaults: { '/limits/*': limitDefaults },
  check: checkRateLimit,
  compile: (effective) => {
    const message = toMessage(effective as unknown as EffectiveRateLimit);
    const shared = message.limits.some(({ sharedBy }) => sharedBy !== 'instance');
    const who = message.limits.some(({ match = {} }) => asksWho(match));
    return { minFormat: shared ? 4 : who ? 3 : message.limits.some(({ key }) => needsIdentity(key)) ? 2 : 1, body: RateLimit.encode(message).finish() };
  },
};

/** A limit of the fleet needs to know the instances too: among them it is divided while the store is away. */
function shares(effective: JsonObject, plans: PlanSharing): Sharing {
  const { limits = {}, plans: takesPlans } = effective as unknown as EffectiveRateLimit;
  const own = Object.values(limits);
  const fleet = own.some(({ sharedBy }) => sharedBy === 'fleet') || (takesPlans && plans.limits.store);
  return { store: fleet, instances: fleet || own.some(({ sharedBy }) => sharedBy === 'service') || (takesPlans && plans.limits.instances) };
}

function toMessage({ limits = {}, headerStyle, plans }: EffectiveRateLimit): RateLimit {
  const names = Object.keys(limits).sort();
  return { headerStyle, withoutPlans: !plans, limits: names.flatMap((name) => (limits[name] ? [toLimit(name, limits[name])] : [])) };
}

function toLimit(name: string, limit: EffectiveLimit): Limit {
  return {
    name,
    algorithm: limit.algorithm,
    requests: limit.requests,
    perMs: parseDurationMs(limit.per) ?? 0,
    burst: effectiveBurst(limit),
    key: limit.key.map((part) => (part.startsWith('header.') ? part.toLowerCase() : part)),
    keyRule: limit.keyRule,
    cost: limit.cost,
    match: compileEntryMatch(limit.match),
    sharedBy: limit.sharedBy,
    onStoreFailure: limit.onStoreFailure,
    maxKeys: limit.key.length === 0 ? 8 : limit.maxKeys,
  };
}
