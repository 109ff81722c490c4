import type { Field } from '@remora/http/head';
import { headerId, makeField } from '@remora/http/header-ids';
import { MessageHead } from '@remora/http/message-head';
import { reasonPhrase } from '@remora/http/status-line';
import type { Answer } from '@remora/policy-kit/exchange';
import { putGrpcStatus } from './grpc-answer.ts';

/** What only trusted callers see, beside the reason. */
export interface AnswerContext {
  readonly requestId: string;
  readonly trusted: boolean;
  /** Content type of a gRPC answer; '' where the request was neither gRPC nor gRPC-Web. */
  readonly grpc: string;
  readonly policy: string;
  /** SPIFFE id of the caller, '' where it is not known. */
  readonly caller: string;
  /** Version of the snapshot, `epoch.index`. */
  readonly version: string;
  /** Node id of this sidecar. */
  readonly hop: string;
  /** Unix milliseconds. */
  readonly wallMs: number;
}

export interface EncodedAnswer {
  readonly head: MessageHead;
  readonly body: Uint8Array;
}

/**
 * An answer made here, as a response: problem+json (RFC 9457), or a gRPC status without messages where the request was gRPC. Strangers get the
 * reason and the request id, trusted callers also what decided.
 */
export function encodeAnswer(answer: Answer, context: AnswerContext): EncodedAnswer {
  const head = new MessageHead();
  head.status = answer.status;
  for (const field of answer.fields) head.put(field);
  if (answer.status >= 400) head.put(reasonField(answer.reason.code));
  head.put(originField);
  head.put(dateField(context.wallMs));
  if (context.requestId !== '') head.set(requestIdHeader, context.requestId);
  const body = context.grpc !== '' && answer.body === null ? encodeGrpc(head, answer, context) : encodeBody(head, answer, context);
  head.bodyLength = body.length;
  return { head, body };
}

function encodeBody(head: MessageHead, answer: Answer, context: AnswerContext): Uint8Array {
  if (answer.body !== null) {
    if (answer.contentType !== '' && !head.has(contentTypeHeader)) head.set(contentTypeHeader, answer.contentType);
    return answer.body;
  }
  head.put(problemField);
  return Buffer.from(JSON.stringify(problem(answer, context)));
}

/** Members in a fixed order, empty ones left out. */
function problem(answer: Answer, { requestId, trusted, policy, caller, version, hop }: AnswerContext): object {
  const { reason, status, detail, kind, pointer } = answer;
  const members: Record<string, string | number> = {
    type: `urn:remora:reason:${reason.code}`,
    title: reason.title === '' ? reasonPhrase(status) : reason.title,
    status,
    reason: reason.code,
    requestId,
  };
  if (!trusted) return members;
  const inside: Record<string, string> = { detail, kind, pointer, policy, caller, version, hop };
  for (const [name, value] of Object.entries(inside)) if (value !== '') members[name] = value;
  return members;
}

/** Trailers-only: the status stands in the head, there is no body. */
function encodeGrpc(head: MessageHead, answer: Answer, context: AnswerContext): Uint8Array {
  putGrpcStatus(head, answer, context.grpc, context.trusted);
  return noBody;
}

/** RFC 9110 section 6.6.1; made once a second. */
export function dateField(wallMs: number): Field {
  const second = Math.floor(wallMs / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    date = makeField('date', new Date(second * 1000).toUTCString());
  }
  return date;
}

let dateSecond = 0;
let date = makeField('date', new Date(0).toUTCString());

function reasonField(code: string): Field {
  let field = reasonFields.get(code);
  if (field === undefined) {
    field = makeField('x-remora-reason', code);
    reasonFields.set(code, field);
  }
  return field;
}

/** As many as there are reasons in the code. */
const reasonFields = new Map<string, Field>();
const originField = makeField('x-remora-origin', 'remora');
const problemField = makeField('content-type', 'application/problem+json');
const contentTypeHeader = headerId('content-type');
const requestIdHeader = headerId('x-request-id');
const noBody = new Uint8Array(0);
