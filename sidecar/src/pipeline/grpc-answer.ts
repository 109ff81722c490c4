import { isGrpcContentType } from '@remora/http/grpc-content-type';
import { encodeGrpcMessage, grpcStatusOfHttp, parseGrpcStatus } from '@remora/http/grpc-status';
import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import { MessageHead } from '@remora/http/message-head';
import type { Answer } from '@remora/policy-kit/exchange';

/**
 * The content type of an answer made here where the request is gRPC or gRPC-Web, so that refusals are gRPC statuses; '' where it is neither. A client of
 * gRPC-Web reads nothing but the type it asked with.
 */
export function grpcAnswerType(head: Head): string {
  if (!head.has(contentTypeHeader)) return '';
  const type = head.valueAt(contentTypeHeader, 0);
  if (isGrpcContentType(type)) return 'application/grpc';
  return type.startsWith('application/grpc-web') && type.length <= typeMax ? type : '';
}

/** Puts an answer into a head without a body as gRPC and gRPC-Web know it (trailers-only). */
export function putGrpcStatus(head: MessageHead, answer: Answer, type: string, trusted: boolean): void {
  head.setStatus(200);
  head.set(contentTypeHeader, type);
  putStatusFields(head, answer, trusted);
}

/**
 * Trailers that end a gRPC response whose head has gone out already; null where it has to be broken off instead: only a body whose length nobody
 * said can end early without being taken for the whole.
 */
export function grpcEnding(request: MessageHead, response: Head | null, answer: Answer, trusted: boolean): MessageHead | null {
  if (response === null || response.bodyLength >= 0 || request.minorVersion !== 1 || answer.status === 0) return null;
  if (!isGrpc(request) || !isGrpc(response)) return null;
  const trailers = new MessageHead();
  putStatusFields(trailers, answer, trusted);
  return trailers;
}

function putStatusFields(head: MessageHead, { status, reason, detail }: Answer, trusted: boolean): void {
  head.set(grpcStatusHeader, String(grpcStatusOfHttp(status)));
  const inside = trusted && detail !== '' ? `: ${detail.slice(0, detailMax)}` : '';
  head.set(grpcMessageHeader, encodeGrpcMessage(`${reason.title}${inside}`));
}

/** What a response head, or its trailers, say of a call of gRPC or gRPC-Web; -1: nothing. */
export function grpcStatusIn(fields: Head, response: Head | null): number {
  if (!fields.has(grpcStatusHeader) || response === null || !response.has(contentTypeHeader)) return -1;
  return response.valueAt(contentTypeHeader, 0).startsWith('application/grpc') ? parseGrpcStatus(fields.valueAt(grpcStatusHeader, 0)) : -1;
}

function isGrpc(head: Head): boolean {
  return head.has(contentTypeHeader) && isGrpcContentType(head.valueAt(contentTypeHeader, 0));
}

/** Clients bound the size of what they read as headers. */
const detailMax = 1024;
const contentTypeHeader = headerId('content-type');
const grpcStatusHeader = headerId('grpc-status');
const grpcMessageHeader = headerId('grpc-message');
const typeMax = 128;
