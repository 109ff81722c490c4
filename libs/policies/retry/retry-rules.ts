import { reasons, type Reason } from '@remora/errors/reason';
import type { Head, HeaderId } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import type { RetrySettings } from './wire.ts';

const grpcStatusId = headerId('grpc-status');

/** What is known of the call when an attempt fails. */
export interface Circumstances {
  readonly idempotent: boolean;
  /** The attempt ran on a connection that had served requests before. */
  readonly reused: boolean;
  /** An outer hop is retrying already: only what surely did nothing is tried again here. */
  readonly innerHop: boolean;
}

/**
 * Whether a failed attempt is worth another one. A connection that was never made carried nothing: that is safe for every
 * method. A stale kept-alive connection that breaks before the answer is the same for idempotent methods. `reset` covers every end without an answer, as in Envoy: an
 * answer that is no HTTP ends with its connection, and says no more of what was done than silence does.
 */
export function retriesReset(reason: Reason, settings: RetrySettings, { idempotent, reused, innerHop }: Circumstances): boolean {
  // The first refusal of a call was made good before anybody asked: see RetryCall.
  if (reason === reasons.refusedStream) return settings.onRefusedStream && !innerHop;
  if (reason.retry === 'always') return true;
  if (!idempotent) return false;
  if (reason.retry === 'if-reused' && reused) return true;
  return settings.onReset && !innerHop && (reason.retry === 'if-reused' || reason === reasons.upstreamTimeout || reason === reasons.upstreamProtocol);
}

/**
 * Whether an answer is worth another attempt. A gRPC code that `retryOn` names holds for every call: all of them are POST, so whoever names it says that
 * it can be tried again (gRPC A6).
 */
export function retriesAnswer(head: Head, settings: RetrySettings, headerIds: readonly HeaderId[], { idempotent, innerHop }: Circumstances): boolean {
  if (innerHop) return false;
  if (settings.onGrpcStatuses.size > 0 && head.has(grpcStatusId) && settings.onGrpcStatuses.has(head.valueAt(grpcStatusId, 0))) return true;
  if (!idempotent) return false;
  if (settings.onStatuses.has(head.status)) return true;
  for (const id of headerIds) if (head.has(id)) return true;
  return false;
}
