import { parseDurationMs, parseSizeBytes } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { RequestLimits } from './gen/request-limits.ts';
import { requestLimitsDefaults, requestLimitsSchema, type EffectiveRequestLimits } from './schema.ts';

/** What a client may cost: provider side, always on. */
export const requestLimitsAuthoring: AuthoringKind = {
  name: 'requestLimits',
  side: 'provider',
  tcp: true,
  always: true,
  shadow: true,
  format: 1,
  schema: requestLimitsSchema,
  listenerOnly: Object.keys(requestLimitsSchema.shape).filter((field) => field !== 'bodyBytes' && field !== 'tunnelBytes'),
  defaults: requestLimitsDefaults,
  compile: (effective) => ({ minFormat: 1, body: RequestLimits.encode(toMessage(effective as unknown as EffectiveRequestLimits)).finish() }),
};

function toMessage(effective: EffectiveRequestLimits): RequestLimits {
  return {
    connections: count(effective.connections),
    headerBytes: bytes(effective.headerBytes),
    headerCount: effective.headerCount,
    bodyBytes: effective.bodyBytes === 'unlimited' ? undefined : BigInt(bytes(effective.bodyBytes)),
    tunnelBytes: effective.tunnelBytes === 'unlimited' ? undefined : BigInt(bytes(effective.tunnelBytes)),
    headerTimeoutMs: ms(effective.headerTimeout),
    bodyTimeoutMs: ms(effective.bodyTimeout),
    bodyRateMin: bytes(effective.minBodyRate),
    idleTimeoutMs: ms(effective.idleTimeout),
    requestsPerConnection: count(effective.requestsPerConnection),
  };
}

const ms = (text: string): number => parseDurationMs(text) ?? 0;
const bytes = (text: string): number => parseSizeBytes(text) ?? 0;
/** 0 stands for no limit. */
const count = (value: number | 'unlimited'): number => (value === 'unlimited' ? 0 : value);
