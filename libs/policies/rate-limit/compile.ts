import { parseDurationMs } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
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
  format: 3,
  schema: rateLimitSchema,
  defaults: rateLimitDefaults,
  entryDefaults: { '/limits/*': limitDefaults },
  check: checkRateLimit,
  compile: (effective) => {
    const message = toMessage(effective as unknown as EffectiveRateLimit);
    const who = message.limits.some(({ match = {} }) => asksWho(match));
    return { minFormat: who ? 3 : message.limits.some(({ key }) => needsIdentity(key)) ? 2 : 1, body: RateLimit.encode(message).finish() };
  },
};

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
