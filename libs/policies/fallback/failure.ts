import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import type { FallbackSettings } from './wire.ts';

type Conditions = Pick<FallbackSettings, 'onFailure' | 'reasons' | 'statuses' | 'grpcStatuses'>;

/** Whether the fallback is for an answer with this head. */
export function isFailedAnswer(head: Head, { statuses, grpcStatuses }: Conditions): boolean {
  if (statuses.has(head.status)) return true;
  return grpcStatuses.size > 0 && head.has(grpcStatusHeader) && grpcStatuses.has(head.valueAt(grpcStatusHeader, 0));
}

/** Whether the fallback is for a call that ended for this reason. Where the client is gone, nobody waits. */
export function isFailedCall(reason: Reason, { onFailure, reasons }: Conditions): boolean {
  return reason.origin !== 'downstream' && (onFailure || reasons.has(reason.code));
}

/** What the answer said, for logs. */
export function describeAnswer(head: Head): string {
  return head.has(grpcStatusHeader) ? `grpc-status ${head.valueAt(grpcStatusHeader, 0)}` : String(head.status);
}

const grpcStatusHeader = headerId('grpc-status');
