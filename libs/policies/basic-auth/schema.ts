import type { JsonObject } from '@remora/core/canonical-json';
import { z } from 'zod';

/** `basicAuth` as authored. */
export const basicAuthSchema = z.strictObject({
  realm: z.string().max(128).regex(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/, 'must be 1 to 128 visible ASCII characters without quotes and backslashes').optional().meta({ description: 'what browsers show when they ask for name and password' }),
  forwardCredentials: z.boolean().optional().meta({ description: 'leaves name and password in what is forwarded' }),
});

export const basicAuthDefaults: JsonObject = { realm: 'remora', forwardCredentials: false };

export interface EffectiveBasicAuth {
  readonly realm?: string;
  readonly forwardCredentials?: boolean;
}
