import { headerId } from '@remora/http/header-ids';
import { CheckedSink } from '@remora/policy-kit/checked-sink';
import type { EdgeFilter, Exchange, Sink } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { GrpcMessageBound } from './grpc-message-bound.ts';
import { LengthBound } from './length-bound.ts';
import { bodyTooLarge, messageTooLarge } from './reasons.ts';
import { requestLimitsWire, unlimited, type RequestLimitsSettings } from './wire.ts';

/** The limits on request bodies and their gRPC messages, per route; everything else of the section is enforced on the connection by the engine. */
export const requestLimitsRuntime: RuntimeKind<RequestLimitsSettings> = {
  ...requestLimitsWire,
  side: 'provider',
  tcp: true,
  reasons: [bodyTooLarge, messageTooLarge],
  edge: makeRequestLimitsFilter,
};

function makeRequestLimitsFilter(settings: RequestLimitsSettings, context: FilterContext): EdgeFilter | null {
  const { bodyBytesMax: bytesMax, grpcMessageBytesMax: messageMax, tunnelBytesMax } = settings;
  if (bytesMax === unlimited && messageMax === unlimited && tunnelBytesMax === unlimited) return null;
  const refusal = context.refuse(bodyTooLarge, '/bodyBytes', `at most ${bytesMax} bytes are accepted`);
  const messageRefusal = context.refuse(messageTooLarge, '/grpcMessageBytes', `messages of at most ${messageMax} bytes are accepted`);
  const bit = context.bodyBit;
  return {
    kind: 'requestLimits',
    request(x) {
      const length = x.head.bodyLength;
      if (!context.shadow) x.tunnelBytesMax = tunnelBytesMax;
      if (length > bytesMax) return refusal;
      if (length < 0 && bytesMax !== unlimited) x.wantsRequestBody |= bit;
      if (messageMax !== unlimited && isGrpc(x)) x.wantsRequestBody |= bit;
      return null;
    },
    requestBody(x, next) {
      let sink: Sink = next;
      if (messageMax !== unlimited && isGrpc(x)) {
        sink = new CheckedSink(sink, { check: new GrpcMessageBound(messageMax), reason: messageTooLarge, refuse: () => x.answer(x.token, messageRefusal) });
      }
      if (bytesMax === unlimited || x.head.bodyLength >= 0) return sink;
      return new CheckedSink(sink, { check: new LengthBound(bytesMax), reason: bodyTooLarge, refuse: () => x.answer(x.token, refusal) });
    },
  };
}

/** gRPC and gRPC-Web, but for its text form, whose messages are in Base64. */
function isGrpc({ head }: Exchange): boolean {
  if (!head.has(contentTypeId)) return false;
  const type = head.valueAt(contentTypeId, 0);
  return type.startsWith('application/grpc') && !type.startsWith('application/grpc-web-text');
}

const contentTypeId = headerId('content-type');
