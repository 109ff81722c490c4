import type { Random } from '@remora/core/random';
import type { Call, Sink } from '@remora/policy-kit/exchange';
import { isTraceParent } from '@remora/policy-kit/trace-parent';
import { formatSpanId, formatTraceParent } from '@remora/policy-kit/uuid';
import { refusalPolicy } from './answers.ts';
import type { ExchangeRun } from './exchange-run.ts';
import { removeTraceState, RequestTrace, setTraceParent, traceParentOf } from './request-trace.ts';
import { AttemptSpan } from '../records/attempt-span.ts';
import type { SpanRing } from '../records/span-ring.ts';
import { writeServerSpan } from '../records/span-record.ts';
import type { Turn } from '../io/turn.ts';

export interface RequestTracerOptions {
  readonly ring: SpanRing;
  /** Share of the traces beginning here that are recorded: 0 to 1. */
  readonly ratio: number;
  readonly random: Random;
  readonly turn: Turn;
}

/**
 * Spans of requests, on one data thread: a server span per exchange, a client span per attempt. A trace that was believed is continued and its
 * flag obeyed; of those that begin here `ratio` is recorded, told by the trace id, so that everybody with the same ratio chooses the same
 * ones. Without an exporter there is no tracer, and an exchange costs one comparison.
 */
export class RequestTracer {
  readonly #options: RequestTracerOptions;

  constructor(options: RequestTracerOptions) {
    this.#options = options;
  }

  /** Before anything changes the head. `protocol`: version of HTTP where the head does not say it, else ''. */
  arrive(run: ExchangeRun, protocol: string): void {
    run.trace = new RequestTrace(traceParentOf(run.head), protocol);
  }

  /**
   * Once filters have settled the head, and before a request id is made without them: whoever has an id has passed the `requestId` kind.
   * It keeps what it believes, puts a new context in, or leaves none where no trace shall begin.
   */
  decide(run: ExchangeRun): void {
    const { trace, head } = run;
    if (trace === null || trace.state !== 'undecided') return;
    const named = traceParentOf(head);
    const filtered = run.requestId !== '';
    if (!isTraceParent(named)) {
      if (filtered && run.pin.side !== 'outbound') trace.state = 'ignored';
      else this.#beginHere(run, trace);
    } else if (named !== trace.brought) this.#adopt(run, trace, named);
    else if (filtered || run.pin.side !== 'gateway' || run.connection.trusted) this.#continue(trace, named);
    else this.#beginHere(run, trace);
  }

  #continue(trace: RequestTrace, context: string): void {
    trace.flags = parseInt(context.slice(53, 55), 16);
    if ((trace.flags & sampled) === 0) {
      trace.state = 'ignored';
      return;
    }
    trace.state = 'recorded';
    trace.traceId = context.slice(3, 35);
    trace.parentId = context.slice(36, 52);
    trace.spanId = formatSpanId(this.#options.random);
  }

  #beginHere(run: ExchangeRun, trace: RequestTrace): void {
    removeTraceState(run.head);
    const context = formatTraceParent(this.#options.random, true);
    setTraceParent(run.head, context);
    this.#adopt(run, trace, context);
  }

  /** The context was made on this side: its parent id is ours. */
  #adopt(run: ExchangeRun, trace: RequestTrace, context: string): void {
    trace.flags = parseInt(context.slice(53, 55), 16);
    if ((trace.flags & sampled) === 0) {
      trace.state = 'ignored';
      return;
    }
    if (!this.#chooses(context)) {
      trace.state = 'ignored';
      // Nobody behind us shall record a trace without its beginning.
      setTraceParent(run.head, `${context.slice(0, 53)}00`);
      return;
    }
    trace.state = 'recorded';
    trace.traceId = context.slice(3, 35);
    trace.spanId = context.slice(36, 52);
  }

  /** By the last 56 bits of the trace id, which are random (W3C Trace Context level 2, section 5.1). */
  #chooses(context: string): boolean {
    const { ratio } = this.#options;
    return ratio >= 1 || (ratio > 0 && parseInt(context.slice(21, 35), 16) < ratio * 2 ** 56);
  }

  /** Before an attempt begins: the context of its request becomes the attempt's. Answers the sink for its response. */
  attempt(call: Call, trace: RequestTrace, response: Sink): Sink {
    const { random, ring, turn } = this.#options;
    const span = new AttemptSpan({ call, trace, response, spanId: formatSpanId(random), ring, turn });
    setTraceParent(call.head as ExchangeRun['head'], trace.childContext(span.spanId));
    trace.attempt = span;
    return span;
  }

  /** The exchange is complete. */
  ended(run: ExchangeRun): void {
    this.decide(run);
    const { trace, head, pin, refusal } = run;
    if (trace === null || trace.state !== 'recorded') return;
    const reason = refusal?.reason.code ?? '';
    trace.attempt?.end(reason);
    writeServerSpan(this.#options.ring, {
      kind: 'server', traceId: trace.traceId, spanId: trace.spanId, parentId: trace.parentId, flags: trace.flags, side: pin.side,
      startMs: run.startedWallMs, durationMs: run.endedAt - run.startedAt, status: run.status, grpcStatus: trace.grpcStatus,
      method: head.method, scheme: head.scheme, authority: run.askedAuthority ?? head.authority, path: run.askedPath ?? head.path,
      protocol: trace.protocol === '' ? `1.${head.minorVersion}` : trace.protocol, destination: run.destination, reason,
      bytesIn: run.bytesIn, bytesOut: run.bytesOut, attempts: run.attempts, route: pin.route, requestId: run.requestId,
      clientAddress: run.clientAddress, policyKind: refusal?.kind ?? '', policyField: refusal?.pointer ?? '',
      policy: refusal === null ? '' : refusalPolicy(run, refusal), configVersion: pin.configVersion,
    });
  }
}

const sampled = 1;
