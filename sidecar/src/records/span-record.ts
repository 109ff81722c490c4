import type { Side } from '@remora/policy-kit/exchange';
import type { SpanCursor, SpanRing } from './span-ring.ts';

/** One span of a request as the control thread gets it; texts are cut at 1,024 characters. Ids are hexadecimal; times in milliseconds, Unix. */
export type SpanRecord = ServerSpan | ClientSpan;

interface SpanBase {
  readonly traceId: string;
  readonly spanId: string;
  /** '' for the first span of a trace. */
  readonly parentId: string;
  /** W3C trace flags. */
  readonly flags: number;
  readonly side: Side;
  readonly startMs: number;
  readonly durationMs: number;
  /** 0: none was received or sent. */
  readonly status: number;
  /** -1: not gRPC, or none was seen. */
  readonly grpcStatus: number;
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  /** Without the query, which may hold secrets. */
  readonly path: string;
  /** Version of HTTP: `1.0`, `1.1` or `2`, '' where it is not told. `tcp` or `tls`: a connection whose bytes nobody looks into; it has no request. */
  readonly protocol: string;
  readonly destination: string;
  /** Reason code where Remora answered or gave up; ''. */
  readonly reason: string;
}

/** An exchange: from the client's request head, or its connection, to the end of the answer, or of the tunnel. */
export interface ServerSpan extends SpanBase {
  readonly kind: 'server';
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly attempts: number;
  readonly route: string;
  readonly requestId: string;
  readonly clientAddress: string;
  /** Of the policy that refused; ''. */
  readonly policyKind: string;
  readonly policyField: string;
  readonly policy: string;
  readonly configVersion: string;
}

/** One attempt of a call: from the choice of an endpoint to the end of its response. */
export interface ClientSpan extends SpanBase {
  readonly kind: 'client';
  /** 1 for the first. */
  readonly attempt: number;
  /** `host:port`, '' where no endpoint was chosen. */
  readonly address: string;
  readonly endpoint: string;
}

/** Answers whether there was room. Allocates nothing. */
export function writeServerSpan(ring: SpanRing, span: ServerSpan): boolean {
  if (!ring.begin()) return false;
  writeBase(ring, 1, span);
  ring.double(span.bytesIn);
  ring.double(span.bytesOut);
  ring.short(Math.min(span.attempts, 0xffff));
  ring.text(span.route);
  ring.text(span.requestId);
  ring.text(span.clientAddress);
  ring.text(span.policyKind);
  ring.text(span.policyField);
  ring.text(span.policy);
  ring.text(span.configVersion);
  ring.end();
  return true;
}

export function writeClientSpan(ring: SpanRing, span: ClientSpan): boolean {
  if (!ring.begin()) return false;
  writeBase(ring, 2, span);
  ring.short(Math.min(span.attempt, 0xffff));
  ring.text(span.address);
  ring.text(span.endpoint);
  ring.end();
  return true;
}

function writeBase(ring: SpanRing, kind: number, span: SpanBase): void {
  ring.byte(kind);
  ring.byte(sides.indexOf(span.side));
  ring.byte(span.flags);
  ring.byte(span.grpcStatus & 0xff);
  ring.short(span.status);
  ring.double(span.startMs);
  ring.double(span.durationMs);
  ring.text(span.traceId);
  ring.text(span.spanId);
  ring.text(span.parentId);
  ring.text(span.method);
  ring.text(span.scheme);
  ring.text(span.authority);
  ring.text(span.path);
  ring.text(span.protocol);
  ring.text(span.destination);
  ring.text(span.reason);
}

/** What was written, in the same order. */
export function readSpan(cursor: SpanCursor): SpanRecord {
  const server = cursor.byte() === 1;
  const side = sides[cursor.byte()] ?? 'inbound';
  const flags = cursor.byte();
  const grpc = cursor.byte();
  const base = {
    side, flags, grpcStatus: grpc === 0xff ? -1 : grpc, status: cursor.short(), startMs: cursor.double(), durationMs: cursor.double(),
    traceId: cursor.text(), spanId: cursor.text(), parentId: cursor.text(), method: cursor.text(), scheme: cursor.text(), authority: cursor.text(),
    path: cursor.text(), protocol: cursor.text(), destination: cursor.text(), reason: cursor.text(),
  };
  if (!server) return { kind: 'client', ...base, attempt: cursor.short(), address: cursor.text(), endpoint: cursor.text() };
  return {
    kind: 'server', ...base, bytesIn: cursor.double(), bytesOut: cursor.double(), attempts: cursor.short(), route: cursor.text(), requestId: cursor.text(),
    clientAddress: cursor.text(), policyKind: cursor.text(), policyField: cursor.text(), policy: cursor.text(), configVersion: cursor.text(),
  };
}

const sides: readonly Side[] = ['inbound', 'outbound', 'gateway'];
