import { parseRatio } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { RequestId } from './gen/request-id.ts';
import { requestIdDefaults, requestIdSchema, type EffectiveRequestId } from './schema.ts';

/** Names of requests and traces: provider side, always on. */
export const requestIdAuthoring: AuthoringKind = {
  name: 'requestId',
  side: 'provider',
  always: true,
  shadow: true,
  format: 1,
  schema: requestIdSchema,
  defaults: requestIdDefaults,
  compile: (effective) => ({ minFormat: 1, body: RequestId.encode(toMessage(effective as unknown as EffectiveRequestId)).finish() }),
};

function toMessage(effective: EffectiveRequestId): RequestId {
  const { header, format, accept, echo, traceContext, traceSampling } = effective;
  return {
    header: header.toLowerCase(), format, accept, echo, traceContext,
    traceSamplingPpm: Math.round((parseRatio(traceSampling) ?? 0) * 1_000_000),
  };
}
