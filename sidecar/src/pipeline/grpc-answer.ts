import { isGrpcContentType } from '@remora/http/grpc-content-type';
import { trailersAccepted } from '@remora/http/head-scanner';
import { encodeGrpcMessage, grpcStatusOfHttp, parseGrpcStatus } from '@remora/http/grpc-status';
import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import { MessageHead } from '@remora/http/message-head';
import type { Reason } from '@remora/errors/reason';
import type { Answer } from '@remora/policy-kit/exchange';
import { GrpcWebMeter, trailersFlag } from './grpc-web-meter.ts';

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
  head.set(grpcMessageHeader, messageOf(reason, detail, trusted));
}

/** What a response head, or its trailers, say of a call of gRPC or gRPC-Web; -1: nothing. */
export function grpcStatusIn(fields: Head, response: Head | null): number {
  if (!fields.has(grpcStatusHeader) || response === null || !response.has(contentTypeHeader)) return -1;
  return response.valueAt(contentTypeHeader, 0).startsWith('application/grpc') ? parseGrpcStatus(fields.valueAt(grpcStatusHeader, 0)) : -1;
}

/** A response of gRPC that has begun without saying how its call ended: its trailers will. Calls of gRPC say that they take trailers; others cost nothing here. */
export function endsInTrailers(request: MessageHead, response: Head): boolean {
  return (request.connection & trailersAccepted) !== 0 && isGrpc(response) && !response.has(grpcStatusHeader);
}

/** Follows the body of a gRPC-Web response, which has its status in itself; null for any other, and for one whose length is told, which cannot end early. */
export function grpcWebMeterFor(request: MessageHead, response: Head): GrpcWebMeter | null {
  // Most answers have a length; calls of gRPC itself say that they take trailers, which those of gRPC-Web cannot.
  if (response.bodyLength >= 0 || request.bodyLength === 0 || (request.connection & trailersAccepted) !== 0 || !response.has(contentTypeHeader)) return null;
  const type = response.valueAt(contentTypeHeader, 0);
  return type.startsWith('application/grpc-web') ? new GrpcWebMeter(type.startsWith('application/grpc-web-text')) : null;
}

/**
 * The same as `grpcEnding` for gRPC-Web: a frame with the trailers as the last of the body. Null where the response has to be broken off: within a message
 * it would be read as a part of that.
 */
export function grpcWebEnding(request: MessageHead, meter: GrpcWebMeter, { status, reason, detail }: Answer, trusted: boolean): Uint8Array | null {
  if (!meter.atBoundary || request.minorVersion !== 1 || status === 0) return null;
  const fields = Buffer.from(`grpc-status: ${grpcStatusOfHttp(status)}\r\ngrpc-message: ${messageOf(reason, detail, trusted)}\r\n`, 'latin1');
  const frame = Buffer.concat([Buffer.from([trailersFlag, 0, 0, 0, 0]), fields]);
  frame.writeUInt32BE(fields.length, 1);
  return meter.text ? Buffer.from(frame.toString('base64'), 'latin1') : frame;
}

function messageOf(reason: Reason, detail: string, trusted: boolean): string {
  return encodeGrpcMessage(trusted && detail !== '' ? `${reason.title}: ${detail.slice(0, detailMax)}` : reason.title);
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
