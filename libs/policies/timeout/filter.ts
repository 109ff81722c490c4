import { isGrpcContentType } from '@remora/http/grpc-content-type';
import type { Field, HeaderId } from '@remora/http/head';
import { headerId, makeField } from '@remora/http/header-ids';
import type { Call, Layer } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { timeoutWire, type TimeoutSettings } from './wire.ts';

/** Sets the limits of each call; the engine's timer wheels apply them. */
export const timeoutRuntime: RuntimeKind<TimeoutSettings> = {
  ...timeoutWire,
  side: 'caller',
  tcp: true,
  reasons: [],
  layer: makeTimeoutLayer,
};

const deadlineHeader: HeaderId = headerId('x-remora-deadline');
const contentTypeHeader: HeaderId = headerId('content-type');

function makeTimeoutLayer(settings: TimeoutSettings, context: FilterContext): Layer {
  const usual = settings.requestMs > 0 ? makeField('x-remora-deadline', String(settings.requestMs)) : null;
  return (next) => (call, response) => {
    call.connectTimeoutMs = shorter(call.connectTimeoutMs, settings.connectMs);
    call.headersTimeoutMs = shorter(call.headersTimeoutMs, settings.requestMs);
    call.idleTimeoutMs = shorter(call.idleTimeoutMs, settings.idleMs);
    call.tunnelIdleMs = shorter(call.tunnelIdleMs, settings.tunnelIdleMs);
    call.perTryTimeoutMs = shorter(call.perTryTimeoutMs, settings.perTryMs);
    call.maxStreamMs = shorter(call.maxStreamMs, settings.maxStreamMs);
    propagateDeadline(call, usual, settings, context);
    if (settings.maxStreamMs > 0) shortenGrpcDeadline(call, context);
    return next(call, response);
  };
}

/** The shorter of two limits where 0 is none. */
function shorter(a: number, b: number): number {
  if (a === 0) return b;
  return b === 0 || a < b ? a : b;
}

/**
 * `x-remora-deadline` says for how many milliseconds the caller still waits for the response head. It only shrinks from
 * hop to hop; at a gateway it is believed from trusted peers alone.
 */
function propagateDeadline(call: Call, usual: Field | null, settings: TimeoutSettings, context: FilterContext): void {
  const { head, x } = call;
  if (head.has(deadlineHeader)) {
    const told = x.pin.side === 'gateway' && !x.connection.trusted ? null : parseDeadlineMs(head.valueAt(deadlineHeader, 0));
    if (told !== null) {
      const spent = context.clock.monotonicMs() - x.startedAt;
      call.headersTimeoutMs = shorter(call.headersTimeoutMs, Math.max(1, Math.ceil(told - spent)));
    }
    if (call.headersTimeoutMs === 0) head.remove(deadlineHeader);
    else head.set(deadlineHeader, String(call.headersTimeoutMs));
    return;
  }
  if (call.headersTimeoutMs === 0) return;
  if (usual !== null && call.headersTimeoutMs === settings.requestMs) head.put(usual);
  else head.set(deadlineHeader, String(call.headersTimeoutMs));
}

/**
 * `maxStream` is a deadline of the whole call, bodies included, as that of gRPC is: instances that speak it are told, and end what nobody will wait for. What
 * is left of it goes out with each attempt.
 */
function shortenGrpcDeadline({ head, x, maxStreamMs }: Call, { clock }: FilterContext): void {
  if (!head.has(contentTypeHeader) || !isGrpcContentType(head.valueAt(contentTypeHeader, 0))) return;
  x.grpcDeadlineAt = Math.min(x.grpcDeadlineAt, clock.monotonicMs() + maxStreamMs);
}

function parseDeadlineMs(text: string): number | null {
  return /^\d{1,10}$/.test(text) ? Number(text) : null;
}

