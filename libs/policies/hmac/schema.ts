import type { JsonObject } from '@remora/core/canonical-json';
import { parseDurationMs } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { duration, oneOf } from '@remora/policy-kit/scalars';
import { z } from 'zod';

export const derivedComponents = ['@method', '@authority', '@scheme', '@target-uri', '@request-target', '@path', '@query'] as const;
const componentsMax = 32;

/** `hmac` as authored. */
export const hmacSchema = z.strictObject({
  components: z.array(z.string().max(128)).max(componentsMax).optional().meta({ description: 'what every signature must cover' }),
  maxAge: duration({ min: 1_000, max: 86_400_000 }).optional().meta({ description: 'how long after `created` a signature is good' }),
  leeway: duration({ min: 0, max: 300_000 }).optional().meta({ description: 'how far the client\'s clock may be ahead' }),
  nonce: oneOf(['required', 'optional']).optional().meta({ description: 'whether a signature must carry a nonce; one that does is good once' }),
  contentDigest: oneOf(['required', 'optional']).optional().meta({ description: 'whether a body must be covered by content-digest; one that is there is compared' }),
  tag: z.string().max(128).regex(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/, 'must be visible ASCII characters without quotes and backslashes').optional().meta({ description: 'only signatures with this tag are looked at' }),
  forwardSignature: z.boolean().optional().meta({ description: 'leaves the signature in what is forwarded' }),
});

export const hmacDefaults: JsonObject = {
  components: ['@method', '@authority', '@path', '@query'], maxAge: '5m', leeway: '30s', nonce: 'optional', contentDigest: 'required', forwardSignature: true,
};

export interface EffectiveHmac {
  readonly components?: readonly string[];
  readonly maxAge?: string;
  readonly leeway?: string;
  readonly nonce?: string;
  readonly contentDigest?: string;
  readonly tag?: string;
  readonly forwardSignature?: boolean;
}

export function checkHmac(effective: JsonObject): Violation[] {
  const { components = [], maxAge = '', leeway = '' } = effective as EffectiveHmac;
  const wrong = components.flatMap((name, i): Violation[] => {
    if ((derivedComponents as readonly string[]).includes(name) || /^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/.test(name)) return [];
    return [{ pointer: `/components/${i}`, code: 'invalid-value', message: `${JSON.stringify(name.slice(0, 80))} is nothing that a signature covers`, expected: `one of ${derivedComponents.join(', ')}, or a header in lower case` }];
  });
  if ((parseDurationMs(leeway) ?? 0) > (parseDurationMs(maxAge) ?? 0)) wrong.push({ pointer: '/leeway', code: 'contradiction', message: 'is longer than maxAge' });
  return wrong;
}
