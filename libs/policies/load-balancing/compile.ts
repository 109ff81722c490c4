import { parseDurationMs, parseRatio } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { parseFactor } from './factor.ts';
import { LoadBalancing, type Sticky } from './gen/load-balancing.ts';
import { checkLoadBalancing, loadBalancingDefaults, loadBalancingSchema, type EffectiveLoadBalancing } from './schema.ts';

/** How callers choose among hosts: caller side, always on. The defaults are what sidecars do anyway, and do not travel. */
export const loadBalancingAuthoring: AuthoringKind = {
  name: 'loadBalancing',
  side: 'caller',
  tcp: true,
  always: true,
  shadow: false,
  format: 1,
  schema: loadBalancingSchema,
  defaults: loadBalancingDefaults,
  check: checkLoadBalancing,
  isUsual: (effective) => Buffer.compare(encode(effective as unknown as EffectiveLoadBalancing), usual) === 0,
  compile: (effective) => ({ minFormat: 1, body: encode(effective as unknown as EffectiveLoadBalancing) }),
};

function encode({ algorithm, choices, hash, sticky, slowStart, locality, panicThreshold }: EffectiveLoadBalancing): Uint8Array {
  return LoadBalancing.encode({
    algorithm, choices,
    hashBy: (hash.by ?? []).map((part) => (part.startsWith('header.') ? part.toLowerCase() : part)),
    places: hash.places,
    boundedLoad: parseFactor(hash.boundedLoad) ?? 0,
    sticky: stickyOf(sticky),
    slowStartMs: parseDurationMs(slowStart.window) ?? 0,
    slowStartAggression: slowStart.aggression,
    slowStartMinWeight: parseRatio(slowStart.minWeight) ?? 0,
    prefer: locality.prefer,
    overprovisioning: parseFactor(locality.overprovisioning) ?? 0,
    panicThreshold: parseRatio(panicThreshold) ?? 0,
  }).finish();
}

function stickyOf({ cookie, ttl, path, secure, sameSite }: EffectiveLoadBalancing['sticky']): Sticky | undefined {
  return cookie === undefined ? undefined : { cookie, ttlSeconds: (parseDurationMs(ttl) ?? 0) / 1000, path, secure, sameSite };
}

const usual = encode(loadBalancingDefaults as unknown as EffectiveLoadBalancing);
