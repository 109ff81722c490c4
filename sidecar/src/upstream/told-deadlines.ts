import { formatGrpcTimeout } from '@remora/http/grpc-timeout';
import { headerId } from '@remora/http/header-ids';
import type { Call } from '@remora/policy-kit/exchange';

/**
 * Tells the next hop how long is still waited for it, when the head of an attempt goes out: `grpc-timeout` by what is left of the deadline, `x-remora-deadline`
 * less what the attempt has waited for its connection, and, on its way to the own app, what filters have taken. Both only shrink.
 */
export function tellDeadlines({ x, head, deadlineAt }: Call, startedAt: number, now: number): void {
  if (x.grpcDeadlineAt < Infinity) head.set(grpcTimeoutHeader, formatGrpcTimeout(Math.min(x.grpcDeadlineAt, deadlineAt) - now));
  if (!head.has(deadlineHeader)) return;
  const waitedMs = now - (x.pin.side === 'inbound' ? x.startedAt : startedAt);
  // What is new is written at each attempt: a few milliseconds are not worth it.
  if (waitedMs < worthTellingMs) return;
  const told = Number(head.valueAt(deadlineHeader, 0));
  if (Number.isInteger(told)) head.set(deadlineHeader, String(Math.max(1, Math.floor(told - waitedMs))));
}

const worthTellingMs = 5;
const grpcTimeoutHeader = headerId('grpc-timeout');
const deadlineHeader = headerId('x-remora-deadline');
