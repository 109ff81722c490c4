import { parseDurationMs } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Hmac } from './gen/hmac.ts';
import { checkHmac, hmacDefaults, hmacSchema, type EffectiveHmac } from './schema.ts';

/** Requests that the API's clients sign: provider side. */
export const hmacAuthoring: AuthoringKind = {
  name: 'hmac',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  consumers: ['hmac'],
  schema: hmacSchema,
  defaults: hmacDefaults,
  check: checkHmac,
  compile: (effective) => ({ minFormat: 1, body: Hmac.encode(toMessage(effective)).finish() }),
};

function toMessage({ components = [], maxAge = '', leeway = '', nonce = '', contentDigest = '', tag = '', forwardSignature = true }: EffectiveHmac): Hmac {
  return { components: [...new Set(components)].sort(), maxAgeMs: parseDurationMs(maxAge) ?? 0, leewayMs: parseDurationMs(leeway) ?? 0, nonce, contentDigest, tag, forwardSignature };
}
