import type { JsonObject } from '@remora/core/canonical-json';
import { meaningOf } from '@remora/model/canonical-form';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import type { WireKind } from '@remora/policy-kit/runtime-kind';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { duration, entryName, oneOf, ratio, size } from '@remora/policy-kit/scalars';
import { z } from 'zod';

/**
 * Kinds that stay as they are while the real ones change, with every shape that merging knows: scalars, lists, objects,
 * named maps and tagged unions. They carry names of the vocabulary because documents accept no others; their bytes are
 * canonical JSON with normalised units.
 */
function sampleKind(kind: Omit<AuthoringKind, 'format' | 'compile'>): AuthoringKind {
  return { ...kind, format: 1, compile: (effective) => ({ minFormat: 1, body: Buffer.from(meaningOf(effective, kind.schema)) }) };
}

/** Provider side, refuses, with a named map. */
const rateLimit = sampleKind({
  name: 'rateLimit', side: 'provider', always: false, shadow: true,
  schema: z.strictObject({
    limits: z.record(entryName(), z.strictObject({
      requests: z.int().min(1).max(1_000_000),
      per: duration({ min: 1 }),
      burst: z.int().min(0).optional(),
      key: z.array(z.string().max(64)).max(8).optional(),
    })).optional(),
    headerStyle: oneOf(['draft', 'kong'], ['reserved-style']).optional(),
  }),
  defaults: { headerStyle: 'draft' },
  entryDefaults: { '/limits/*': { burst: 0, key: [] } },
});

/** Provider side, always there, with a size that may be unlimited. */
const requestLimits = sampleKind({
  name: 'requestLimits', side: 'provider', always: true, shadow: false,
  schema: z.strictObject({ bodyBytes: z.union([z.literal('unlimited'), size()]).optional(), headerCount: z.int().min(1).max(1000).optional() }),
  defaults: { bodyBytes: 'unlimited', headerCount: 100 },
});

/** Provider side, with a tagged union. */
const fault = sampleKind({
  name: 'fault', side: 'provider', always: false, shadow: true,
  schema: z.strictObject({
    share: ratio().optional(),
    action: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('delay'), by: duration(), jitter: duration().optional() }),
      z.strictObject({ kind: z.literal('abort'), status: z.int().min(400).max(599), body: z.string().max(1_000).optional() }),
    ]).optional(),
  }),
  defaults: { share: '100%' },
});

/** Caller side, always there, with an unlimited zero and a check of the whole. */
const timeout = sampleKind({
  name: 'timeout', side: 'caller', always: true, shadow: false,
  schema: z.strictObject({ connect: duration({ min: 1 }).optional(), request: duration({ zeroMeans: 'unlimited' }).optional(), idle: duration().optional() }),
  defaults: { connect: '1s', request: '15s', idle: '60s' },
  check: ({ connect, idle }: JsonObject) => (connect === '13s' && idle === '13s' ? [{ pointer: '/idle', code: 'contradiction', message: 'connect and idle are both 13s' }] : []),
});

/** Caller side, with nested objects and lists. */
const retry = sampleKind({
  name: 'retry', side: 'caller', always: false, shadow: false,
  schema: z.strictObject({
    retries: z.int().min(0).max(10).optional(),
    retryOn: z.array(z.union([z.string().max(64), z.int()])).max(16).optional(),
    budget: z.strictObject({ ratio: ratio().optional(), minPerSecond: z.int().min(0).optional() }).optional(),
  }),
  defaults: { retries: 2, retryOn: ['connect-failure'], budget: { ratio: '20%', minPerSecond: 3 } },
});

const samples = [fault, rateLimit, requestLimits, retry, timeout];

export const sampleKinds: ReadonlyMap<string, AuthoringKind> = new Map(samples.map((kind) => [kind.name, kind]));

/** Their decoders: the value as it was compiled. `x-poison` anywhere is what only the sidecar refuses. */
export const sampleWireKinds: ReadonlyMap<string, WireKind<unknown>> = new Map(samples.map(({ name, format }) => [name, {
  name, format,
  decode(bytes: Uint8Array): unknown {
    const text = Buffer.from(bytes).toString('utf8');
    if (text.includes('x-poison')) throw new WireError('/limits', 'poison', 'has what only a sidecar refuses');
    return JSON.parse(text);
  },
}]));
