import type { JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';
import { headerName } from '@remora/policy-kit/scalars';
import { z } from 'zod';

export const placesMax = 4;
/** RFC 6265 section 4.1.1 for cookies; what needs no decoding for parameters. */
const plainName = (what: string): z.ZodString => z.string().max(128).regex(/^[!#$%'*+.^_`|~0-9A-Za-z-]+$/, `must be the name of a ${what}`);

const placeSchema = z.union([
  z.strictObject({ header: headerName() }),
  z.strictObject({ query: plainName('query parameter') }),
  z.strictObject({ cookie: plainName('cookie') }),
]);

/** `apiKey` as authored. */
export const apiKeySchema = z.strictObject({
  keyFrom: z.array(placeSchema).min(1).max(placesMax).optional().meta({ description: 'where clients show their key; in one place at most' }),
  forwardKey: z.boolean().optional().meta({ description: 'leaves the key in what is forwarded' }),
});

export const apiKeyDefaults: JsonObject = { keyFrom: [{ header: 'x-api-key' }], forwardKey: false };

export type EffectiveApiKey = z.output<typeof apiKeySchema>;

/** Headers that mean something else to every part on the way. */
const taken: ReadonlySet<string> = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'cookie', 'te', 'upgrade', 'trailer', 'keep-alive']);

export function checkApiKey(effective: JsonObject): Violation[] {
  const { keyFrom = [] } = effective as EffectiveApiKey;
  return keyFrom.flatMap((place, i): Violation[] => {
    if (!('header' in place) || !taken.has(place.header.toLowerCase())) return [];
    return [{ pointer: `/keyFrom/${i}/header`, code: 'invalid-value', message: `${place.header} carries no key`, expected: 'a header such as x-api-key; keys in cookies: {cookie: name}' }];
  });
}
