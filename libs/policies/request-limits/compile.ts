import { parseDurationMs, parseSizeBytes } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { RequestLimits } from './gen/request-limits.ts';
import { requestLimitsDefaults, requestLimitsSchema, type EffectiveRequestLimits } from './schema.ts';
import { streamsPerConnectionDefault } from './wire.ts';

/** What a policy for one route may set: the others are enforced before there is a route. */
const routeFields: ReadonlySet<string> = new Set(['bodyBytes', 'grpcMessageBytes', 'tunnelBytes']);

/** What a client may cost: provider side, always on. */
export const requestLimitsAuthoring: AuthoringKind = {
  name: 'requestLimits',
  side: 'provider',
  tcp: true,
  always: true,
  shadow: true,
  format: 2,
  schema: requestLimitsSchema,
  listenerOnly: Object.keys(requestLimitsSchema.shape).filter((field) => !routeFields.has(field)),
  defaults: requestLimitsDefaults,
  compile(effective) {
    const message = toMessage(effective as unknown as EffectiveRequestLimits);
    const { grpcMessageBytes, streamsPerConnection, tunnelBytes, halfClose } = message;
    const first = grpcMessageBytes === undefined && streamsPerConnection === undefined && tunnelBytes === undefined && halfClose === '';
    return { minFormat: first ? 1 : 2, body: RequestLimits.encode(message).finish() };
  },
};

function toMessage(effective: EffectiveRequestLimits): RequestLimits {
  return {
    connections: count(effective.connections),
    headerBytes: bytes(effective.headerBytes),
    headerCount: effective.headerCount,
    bodyBytes: effective.bodyBytes === 'unlimited' ? undefined : BigInt(bytes(effective.bodyBytes)),
    grpcMessageBytes: effective.grpcMessageBytes === 'unlimited' ? undefined : bytes(effective.grpcMessageBytes),
    tunnelBytes: effective.tunnelBytes === 'unlimited' ? undefined : BigInt(bytes(effective.tunnelBytes)),
    headerTimeoutMs: ms(effective.headerTimeout),
    bodyTimeoutMs: ms(effective.bodyTimeout),
    bodyRateMin: bytes(effective.minBodyRate),
    idleTimeoutMs: ms(effective.idleTimeout),
    requestsPerConnection: count(effective.requestsPerConnection),
    streamsPerConnection: effective.streamsPerConnection === streamsPerConnectionDefault ? undefined : effective.streamsPerConnection,
    halfClose: effective.halfClose === 'cancel' ? 'cancel' : '',
  };
}

const ms = (text: string): number => parseDurationMs(text) ?? 0;
const bytes = (text: string): number => parseSizeBytes(text) ?? 0;
/** 0 stands for no limit. */
const count = (value: number | 'unlimited'): number => (value === 'unlimited' ? 0 : value);
