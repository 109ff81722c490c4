import type { Field, HeaderId } from '@remora/http/head';
import { headerId, makeField } from '@remora/http/header-ids';
import type { Call, Layer } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { timeoutWire, type TimeoutSettings } from './wire.ts';

/** Sets the limits of each call; the engine's timer wheels apply them. */
export const timeoutRuntime: RuntimeKind<TimeoutSettings> = {
  ...timeoutWire,
  side: 'caller',
  reasons: [],
  layer: makeTimeoutLayer,
};

const deadlineHeader: HeaderId = headerId('x-remora-deadline');
const grpcTimeoutHeader: HeaderId = headerId('grpc-timeout');

function makeTimeoutLayer(settings: TimeoutSettings, context: FilterContext): Layer {
  const usual = settings.requestMs > 0 ? makeField('x-remora-deadline', String(settings.requestMs)) : null;
  return (next) => (call, response) => {
    call.connectTimeoutMs = shorter(call.connectTimeoutMs, settings.connectMs);
    call.headersTimeoutMs = shorter(call.headersTimeoutMs, settings.requestMs);
    call.idleTimeoutMs = shorter(call.idleTimeoutMs, settings.idleMs);
    call.perTryTimeoutMs = shorter(call.perTryTimeoutMs, settings.perTryMs);
    call.maxStreamMs = shorter(call.maxStreamMs, settings.maxStreamMs);
    if (call.head.has(grpcTimeoutHeader)) followGrpcTimeout(call, context);
    propagateDeadline(call, usual, settings, context);
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

function parseDeadlineMs(text: string): number | null {
  return /^\d{1,10}$/.test(text) ? Number(text) : null;
}

const grpcUnits: ReadonlyMap<string, number> = new Map([['H', 3_600_000], ['M', 60_000], ['S', 1000], ['m', 1], ['u', 0.001], ['n', 0.000_001]]);

/**
 * The deadline of a gRPC call covers its whole life (gRPC over HTTP/2, `Timeout`). The next hop is told what is left of it, so that
 * it only shrinks; what is not well-formed goes on as it came, for the callee to refuse.
 */
function followGrpcTimeout(call: Call, context: FilterContext): void {
  const { head, x } = call;
  const text = head.valueAt(grpcTimeoutHeader, 0);
  const unit = grpcUnits.get(text.slice(-1));
  if (unit === undefined || !/^\d{1,8}[HMSmun]$/.test(text)) return;
  const endAt = x.startedAt + Number(text.slice(0, -1)) * unit;
  if (endAt < call.deadlineAt) call.deadlineAt = endAt;
  head.set(grpcTimeoutHeader, grpcTimeout(Math.max(1, Math.ceil(call.deadlineAt - context.clock.monotonicMs()))));
}

/** At most eight digits, in the finest unit that has room. */
function grpcTimeout(ms: number): string {
  if (ms < 1e8) return `${ms}m`;
  return ms < 1e11 ? `${Math.floor(ms / 1000)}S` : `${Math.floor(ms / 3_600_000)}H`;
}
