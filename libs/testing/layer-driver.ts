import type { Reason } from '@remora/errors/reason';
import { reasons } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import { buildResponseHead, type HeaderList } from '@remora/http/head-builder';
import type { Call, Exchange, Layer, Sink, Source } from '@remora/policy-kit/exchange';
import { headLines, makeExchange, type ExchangeStep } from './exchange-driver.ts';
import type { TestFilterContext } from './filter-context.ts';

/** Runs one upstream layer: the test plays the client on one side and the upstream of every attempt on the other. */
export class LayerDriver {
  readonly attempts: DrivenAttempt[] = [];
  readonly response = new RecordingSink();
  readonly body = new RecordingSource();
  readonly call: Call;
  readonly x: Exchange;
  /** The request-body sink that the layer answered. */
  readonly request: Sink;

  constructor(layer: Layer, context: TestFilterContext, step: ExchangeStep = { request: { method: 'GET', authority: 'payments', target: '/' } }, options: Partial<Call> = {}) {
    this.x = makeExchange({ side: 'outbound', ...step }, context);
    this.x.token = 1;
    this.call = { ...newCall(this.x, this.body), ...options };
    const dispatch = layer((call, response) => {
      const attempt = new DrivenAttempt(call, response);
      this.attempts.push(attempt);
      return attempt.bodySink;
    });
    this.request = dispatch(this.call, this.response);
  }

  /** The attempt made last. */
  get last(): DrivenAttempt {
    const attempt = this.attempts.at(-1);
    if (attempt === undefined) throw new Error('the layer has dispatched no attempt');
    return attempt;
  }
}

export function newCall(x: Exchange, body: Source): Call {
  return {
    x, head: x.head, body, deadlineAt: Number.POSITIVE_INFINITY, attempt: 1, connectTimeoutMs: 0, headersTimeoutMs: 0, perTryTimeoutMs: 0,
    idleTimeoutMs: 0, tunnelIdleMs: 0, maxStreamMs: 0, reused: false, refusable: false, target: { service: 'payments', port: 'http', labels: [] }, avoid: [], endpoint: '',
    host: null, hosts: null, balancer: null, watch: null, budget: null, room: null, detour: false,
  };
}

/** One attempt as the upstream sees it. */
export class DrivenAttempt {
  readonly call: Call;
  readonly response: Sink;
  readonly bodySink = new RecordingSink();
  /** What the layer asked of the response body. */
  readonly source = new RecordingSource();

  constructor(call: Call, response: Sink) {
    this.call = call;
    this.response = response;
    this.bodySink.bind(call.body);
    response.bind(this.source);
  }

  get lines(): string[] {
    return headLines(this.call.head);
  }

  answer(status: number, headers: HeaderList = {}, body = ''): void {
    this.response.head(buildResponseHead({ status, headers, bodyLength: body.length }), body === '');
    if (body !== '') this.response.data(Buffer.from(body), 0, body.length, true);
  }

  fail(reason: Reason = reasons.connectFailure): void {
    this.response.reset(reason);
  }
}

/** Everything that was said to a sink, in order. `takes` is what `data` answers. */
export class RecordingSink implements Sink {
  readonly events: string[] = [];
  takes = true;
  text = '';
  bound: Source | null = null;
  lastHead: Head | null = null;
  lastReset: Reason | null = null;
  ended = false;

  bind(from: Source): void {
    if (this.bound !== null) throw new Error('bound twice');
    this.bound = from;
  }

  info(head: Head): void {
    this.#record(`info ${head.status}`, false);
  }

  head(head: Head, end: boolean): void {
    this.lastHead = head;
    this.#record(`head ${head.status}${end ? ' end' : ''}`, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    const text = Buffer.from(bytes.subarray(at, to)).toString();
    this.text += text;
    this.#record(`data ${JSON.stringify(text)}${end ? ' end' : ''}`, end);
    return this.takes;
  }

  trailers(head: Head): void {
    this.#record(`trailers ${headLines(head).join(' ')}`, true);
  }

  reset(reason: Reason): void {
    this.lastReset = reason;
    this.#record(`reset ${reason.code}`, true);
  }

  /** After the end there must be silence. */
  #record(event: string, end: boolean): void {
    if (this.ended) throw new Error(`${event} after the end: ${this.events.join(', ')}`);
    this.events.push(event);
    this.ended = end;
  }
}

export class RecordingSource implements Source {
  resumes = 0;
  stopped: Reason | null = null;

  resume(): void {
    this.resumes += 1;
  }

  stop(reason: Reason): void {
    this.stopped = reason;
  }
}

