import type { JsonObject } from '@remora/core/canonical-json';
import { z } from 'zod';
import { mtlsModes, portsMax, trustDomainsMax, type MtlsMode } from './wire.ts';

const mode = z.enum(mtlsModes, { error: () => `must be one of ${mtlsModes.join(', ')}` });

/** As `libs/model` has names of ports. */
const portName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,62}$/, { error: () => 'must be the name of a port' });

/** SPIFFE-ID standard, section 2.1. */
const trustDomain = z.string().regex(/^[a-z0-9._-]{1,255}$/, { error: () => 'must be a trust domain: lower-case letters, digits, . _ -, at most 255 characters' });

/** `mtls` as authored. */
export const mtlsSchema = z.strictObject({
  mode: mode.optional(),
  ports: z.record(portName, mode).refine((map) => Object.keys(map).length <= portsMax, { error: `at most ${portsMax} entries are accepted`, params: { code: 'too-many' } }).optional(),
  trustDomains: z.array(trustDomain).max(trustDomainsMax).refine((list) => new Set(list).size === list.length, { error: 'a trust domain is listed twice', params: { code: 'duplicate' } }).optional(),
});

/** The section after merging and defaults: what `compile` gets. */
export interface EffectiveMtls {
  readonly mode: MtlsMode;
  readonly ports?: Readonly<Record<string, MtlsMode>>;
  readonly trustDomains?: readonly string[];
}

export const mtlsDefaults: JsonObject = { mode: 'permissive', trustDomains: [] };
