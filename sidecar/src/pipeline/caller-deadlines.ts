import { parseGrpcTimeoutMs } from '@remora/http/grpc-timeout';
import { headerId } from '@remora/http/header-ids';
import type { ExchangeRun } from './exchange-run.ts';

/** Takes over how long the caller still waits, and so many milliseconds more. It only ever shortens what is set here. */
export function readDeadline(run: ExchangeRun, graceMs: number): void {
  if (!run.head.has(deadlineHeader)) return;
  const text = run.head.valueAt(deadlineHeader, 0);
  const ms = text.length > 0 && text.length <= 10 ? Number(text) : NaN;
  if (Number.isInteger(ms) && ms >= 0) run.answerBy = Math.min(run.answerBy, run.startedAt + ms + graceMs);
}

/**
 * The deadline of a gRPC call covers its whole life (gRPC over HTTP/2, `Timeout`). Every attempt tells the next hop what is left of it; what is not
 * well-formed goes on as it came, for the callee to refuse. Client and callee know the deadline themselves and have the first word: it is enforced
 * here a moment later.
 */
export function readGrpcTimeout(run: ExchangeRun): void {
  if (!run.head.has(grpcTimeoutHeader)) return;
  const ms = parseGrpcTimeoutMs(run.head.valueAt(grpcTimeoutHeader, 0));
  if (ms === null) return;
  run.grpcDeadlineAt = run.startedAt + ms;
  run.deadlineAt = Math.min(run.deadlineAt, run.grpcDeadlineAt + deadlineGraceMs);
}

/**
 * The caller's own sidecar knows whose limit it is, and breaks the connection off when it gives up: it should be the one to answer.
 * The deadline is enforced here for callers that are gone without a word.
 */
export const inboundGraceMs = 100;
const deadlineGraceMs = 100;
const deadlineHeader = headerId('x-remora-deadline');
const grpcTimeoutHeader = headerId('grpc-timeout');
