import { reasons, type Reason } from '@remora/errors/reason';
import { isGrpcContentType } from '@remora/http/grpc-content-type';
import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import type { FailOnSettings } from './wire.ts';

/** Whether an answer with this status failed. */
export function failsByStatus(status: number, failOn: FailOnSettings): boolean {
  return (failOn.serverErrors && status >= 500) || failOn.statuses.has(status);
}

/** Whether fields of a gRPC answer, its head's or its trailers', say that the call failed. */
export function failsByGrpc(fields: Head, failOn: FailOnSettings): boolean {
  return failOn.grpcStatuses.has(Number(fields.valueAt(grpcStatusHeader, 0)));
}

/** How the call ended stands in the trailers of this answer. */
export function endsInTrailers(response: Head): boolean {
  return isGrpc(response) && !response.has(grpcStatusHeader);
}

export function isGrpc(head: Head): boolean {
  return head.has(contentTypeHeader) && isGrpcContentType(head.valueAt(contentTypeHeader, 0));
}

/** Of an attempt without an answer; null: it says nothing of the destination. */
export function failsByReason(reason: Reason, failOn: FailOnSettings): boolean | null {
  if (connectReasons.has(reason)) return failOn.connectFailure;
  if (reason === reasons.upstreamTimeout) return failOn.timeout;
  if (reason === reasons.refusedStream) return failOn.refusedStream;
  return reason === reasons.upstreamReset || reason === reasons.upstreamProtocol ? failOn.reset : null;
}

const connectReasons: ReadonlySet<Reason> = new Set([
  reasons.connectFailure, reasons.connectTimeout, reasons.upstreamTlsFailed, reasons.upstreamTlsUntrusted, reasons.upstreamTlsName, reasons.upstreamIdentity,
]);
const contentTypeHeader = headerId('content-type');
const grpcStatusHeader = headerId('grpc-status');
