import type { JsonObject } from '@remora/core/canonical-json';
import { duration, oneOf, size } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { headerBytesMax, headerBytesMin, headerCountMax, streamsPerConnectionDefault, streamsPerConnectionMax } from './wire.ts';

const hour = 3_600_000;
const unlimited = z.literal('unlimited', { error: () => 'must be unlimited or a limit' });

/** A whole number of at least 1, or `unlimited`. */
function count(max: number): z.ZodUnion<readonly [z.ZodNumber, z.ZodLiteral<'unlimited'>]> {
  const expected = `a whole number from 1 to ${max.toLocaleString('en')}, or unlimited`;
  return z.union([z.number().int().min(1).max(max), unlimited], { error: () => `must be ${expected}` }).meta({ description: expected });
}

/** `requestLimits` as authored. */
export const requestLimitsSchema = z.strictObject({
  connections: count(1_000_000).optional(),
  headerBytes: size({ min: headerBytesMin, max: headerBytesMax }).optional(),
  headerCount: z.number().int().min(1).max(headerCountMax).optional(),
  bodyBytes: z.union([unlimited, size()], { error: () => 'must be unlimited or a size such as 10MiB' }).optional(),
  grpcMessageBytes: z.union([unlimited, size({ max: 4 * 1024 ** 3 - 1 })], { error: () => 'must be unlimited or a size such as 4MiB' }).optional(),
  tunnelBytes: z.union([unlimited, size({ min: 1 })], { error: () => 'must be unlimited or a size such as 1GiB' }).optional(),
  headerTimeout: duration({ max: hour, zeroMeans: 'unlimited' }).optional(),
  bodyTimeout: duration({ max: 24 * hour, zeroMeans: 'unlimited' }).optional(),
  minBodyRate: size({ max: 1024 ** 3 }).optional(),
  idleTimeout: duration({ max: 24 * hour, zeroMeans: 'unlimited' }).optional(),
  requestsPerConnection: count(1_000_000_000).optional(),
  streamsPerConnection: z.number().int().min(1).max(streamsPerConnectionMax).optional(),
  halfClose: oneOf(['serve', 'cancel']).optional(),
});

/** The section after merging and defaults: what `compile` gets. */
export interface EffectiveRequestLimits {
  readonly connections: number | 'unlimited';
  readonly headerBytes: string;
  readonly headerCount: number;
  readonly bodyBytes: string;
  readonly grpcMessageBytes: string;
  readonly tunnelBytes: string;
  readonly headerTimeout: string;
  readonly bodyTimeout: string;
  readonly minBodyRate: string;
  readonly idleTimeout: string;
  readonly requestsPerConnection: number | 'unlimited';
  readonly streamsPerConnection: number;
  readonly halfClose: 'serve' | 'cancel';
}

/**
 * Envoy's guide for edge proxies where it gives a figure (connections, no limit on bodies that are streamed), Kestrel for
 * the slowest body, nginx for the rest.
 */
export const requestLimitsDefaults: JsonObject = {
  connections: 50_000,
  headerBytes: '64KiB',
  headerCount: 100,
  bodyBytes: 'unlimited',
  grpcMessageBytes: 'unlimited',
  tunnelBytes: 'unlimited',
  headerTimeout: '10s',
  bodyTimeout: '30s',
  minBodyRate: '240B',
  idleTimeout: '60s',
  requestsPerConnection: 'unlimited',
  streamsPerConnection: streamsPerConnectionDefault,
  halfClose: 'serve',
};
