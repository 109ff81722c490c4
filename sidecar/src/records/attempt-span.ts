import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import type { MessageHead } from '@remora/http/message-head';
import type { Call, Exchange, Sink, Source } from '@remora/policy-kit/exchange';
import type { Turn } from '../io/turn.ts';
import type { RequestTrace } from '../pipeline/request-trace.ts';
import { writeClientSpan } from './span-record.ts';
import type { SpanRing } from './span-ring.ts';

export interface AttemptSpanOptions {
  readonly call: Call;
  readonly trace: RequestTrace;
  readonly response: Sink;
  readonly spanId: string;
  readonly ring: SpanRing;
  readonly turn: Turn;
}

/** Looks at the response of one attempt as it passes, and at who breaks it off: the client span. Written once, at the end. */
export class AttemptSpan implements Sink, Source {
  readonly spanId: string;
  readonly #options: AttemptSpanOptions;
  readonly #startedAt: number;
  #source: Source | null = null;
  #status = 0;
  #grpcStatus = -1;
  #ended = false;
  /** Each side ends on its own, the attempt with its exchange. */
  #tunnel = false;

  constructor(options: AttemptSpanOptions) {
    this.#options = options;
    this.spanId = options.spanId;
    this.#startedAt = options.turn.now();
  }

  // --- sink of the response ---------------------------------------------------------------------------------------

  bind(from: Source): void {
    this.#source = from;
    this.#options.response.bind(this);
  }

  info(head: Head): void {
    this.#options.response.info(head);
  }

  head(head: Head, end: boolean): void {
    this.#status = head.status;
    this.#tunnel = head.protocol !== '';
    if (end) this.#readGrpcStatus(head);
    if (end) this.end('');
    this.#options.response.head(head, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (end && !this.#tunnel) this.end('');
    return this.#options.response.data(bytes, at, to, end);
  }

  trailers(head: Head): void {
    this.#readGrpcStatus(head);
    this.end('');
    this.#options.response.trailers(head);
  }

  reset(reason: Reason): void {
    this.end(reason.code);
    this.#options.response.reset(reason);
  }

  // --- source of the response -------------------------------------------------------------------------------------

  resume(): void {
    this.#source?.resume();
  }

  stop(reason: Reason): void {
    this.end(reason.code);
    this.#source?.stop(reason);
  }

  // --- the span ---------------------------------------------------------------------------------------------------

  /** `reason`: why it was given up; '' where the response is complete. Later calls do nothing. */
  end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const { call, trace, ring, turn } = this.#options;
    const { x } = call;
    const head = call.head as MessageHead;
    trace.grpcStatus = this.#grpcStatus;
    writeClientSpan(ring, {
      kind: 'client', traceId: trace.traceId, spanId: this.spanId, parentId: trace.spanId, flags: trace.flags, side: x.pin.side,
      startMs: x.startedWallMs + this.#startedAt - x.startedAt, durationMs: turn.now() - this.#startedAt, status: this.#status,
      grpcStatus: this.#grpcStatus, method: head.method, scheme: head.scheme, authority: head.authority, path: head.path, protocol: protocolOf(call),
      destination: x.destination, reason, attempt: call.attempt, address: addressOf(x, call), endpoint: call.endpoint,
    });
  }

  #readGrpcStatus(head: Head): void {
    if (!head.has(grpcStatusHeader)) return;
    const text = head.valueAt(grpcStatusHeader, 0);
    const status = text.length > 0 && text.length <= 2 ? Number(text) : NaN;
    if (Number.isInteger(status)) this.#grpcStatus = status;
  }
}

/** Only HTTP/2 tells which requests it did not begin. */
function protocolOf(call: Call): string {
  if (call.head.method === 'CONNECT') return 'tcp';
  if (call.endpoint === '') return '';
  return call.refusable ? '2' : '1.1';
}

/** The exchange has the address of its last attempt; one without an endpoint left that of the one before. */
function addressOf(x: Exchange, call: Call): string {
  return call.endpoint === '' ? '' : x.upstream;
}

const grpcStatusHeader = headerId('grpc-status');
