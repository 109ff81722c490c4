import type { Timer, Timers } from '@remora/core/clock';
import type { Query, QueryReply } from '@remora/proto/gen/remora/push/v1/push';
import { safeNumber } from './encoded-messages.ts';
import type { PushLimits } from './push-limits.ts';
import type { PushMetrics } from './push-metrics.ts';
import type { QueryStream, QueryStreamHandler } from './sidecar-stream.ts';

export type Question = { readonly why: string } | { readonly what: string; readonly request?: string };

/** Why a question has no answer. */
export class QueryError extends Error {
  readonly code: 'offline' | 'timeout' | 'busy' | 'refused' | 'bad-answer';

  constructor(code: QueryError['code'], message: string) {
    super(message);
    this.name = 'QueryError';
    this.code = code;
  }
}

interface OpenQuestion {
  readonly answer: (json: unknown) => void;
  readonly fail: (error: QueryError) => void;
  readonly timer: Timer;
}

interface Attached {
  readonly stream: QueryStream;
  readonly open: Map<bigint, OpenQuestion>;
}

/** The question streams of all sidecars: at most one per node, a bounded number of open questions on each. */
export class QueryBroker {
  readonly #timers: Timers;
  readonly #limits: PushLimits;
  readonly #metrics: PushMetrics;
  readonly #mayAttach: (stream: QueryStream, nodeId: string, incarnation: number) => string | null;
  readonly #attached = new Map<string, Attached>();
  #nextId = 1n;

  /** `mayAttach` answers why a stream may not speak for a node, or null. */
  constructor(deps: {
    readonly timers: Timers; readonly limits: PushLimits; readonly metrics: PushMetrics;
    readonly mayAttach: (stream: QueryStream, nodeId: string, incarnation: number) => string | null;
  }) {
    this.#timers = deps.timers;
    this.#limits = deps.limits;
    this.#metrics = deps.metrics;
    this.#mayAttach = deps.mayAttach;
  }

  accept(stream: QueryStream): QueryStreamHandler {
    let nodeId: string | null = null;
    return {
      message: (reply) => {
        if (nodeId === null) nodeId = this.#introduce(stream, reply);
        else this.#reply(nodeId, stream, reply);
      },
      closed: () => {
        if (nodeId !== null) this.#detach(nodeId, stream);
      },
    };
  }

  /** Rejects with a QueryError. */
  ask(nodeId: string, question: Question, timeoutMs: number): Promise<unknown> {
    const attached = this.#attached.get(nodeId);
    if (!attached) return Promise.reject(new QueryError('offline', `Sidecar ${nodeId} is not connected.`));
    if (attached.open.size >= this.#limits.questionsPerSidecar) return Promise.reject(new QueryError('busy', `Sidecar ${nodeId} has ${attached.open.size} questions to answer already.`));
    const id = this.#nextId++;
    return new Promise((answer, fail) => {
      const timer = this.#timers.after(timeoutMs, () => this.#close(attached, id)?.fail(new QueryError('timeout', `Sidecar ${nodeId} did not answer within ${timeoutMs} ms.`)));
      attached.open.set(id, { answer, fail, timer });
      this.#metrics.openQuestions++;
      attached.stream.send(encodeQuestion(id, question, timeoutMs));
    });
  }

  nodes(): string[] {
    return [...this.#attached.keys()];
  }

  /** A node that is not believed any more answers nothing. */
  turnAway(nodeId: string): void {
    const attached = this.#attached.get(nodeId);
    if (!attached) return;
    attached.stream.end();
    this.#detach(nodeId, attached.stream);
  }

  close(): void {
    for (const [nodeId, { stream }] of this.#attached) {
      stream.end();
      this.#detach(nodeId, stream);
    }
  }

  #introduce(stream: QueryStream, reply: QueryReply): string | null {
    const problem = this.#mayAttach(stream, reply.nodeId, safeNumber(reply.incarnation));
    if (problem !== null) {
      stream.end({ code: 'invalid-argument', message: problem });
      return null;
    }
    const older = this.#attached.get(reply.nodeId);
    if (older) {
      older.stream.end();
      this.#detach(reply.nodeId, older.stream);
    }
    this.#attached.set(reply.nodeId, { stream, open: new Map() });
    return reply.nodeId;
  }

  #reply(nodeId: string, stream: QueryStream, reply: QueryReply): void {
    const attached = this.#attached.get(nodeId);
    if (attached?.stream !== stream) return;
    const question = this.#close(attached, reply.id);
    if (!question) {
      this.#metrics.strayAnswersTotal++;
    } else if (reply.error !== '') {
      question.fail(new QueryError('refused', reply.error.slice(0, 1024)));
    } else if (Buffer.byteLength(reply.json) > this.#limits.answerBytesMax) {
      question.fail(new QueryError('bad-answer', `The answer of ${nodeId} is larger than ${this.#limits.answerBytesMax} bytes.`));
    } else {
      settleJson(question, nodeId, reply.json);
    }
  }

  #close(attached: Attached, id: bigint): OpenQuestion | null {
    const question = attached.open.get(id);
    if (!question) return null;
    attached.open.delete(id);
    question.timer.cancel();
    this.#metrics.openQuestions--;
    return question;
  }

  #detach(nodeId: string, stream: QueryStream): void {
    const attached = this.#attached.get(nodeId);
    if (attached?.stream !== stream) return;
    this.#attached.delete(nodeId);
    for (const id of attached.open.keys()) this.#close(attached, id)?.fail(new QueryError('offline', `Sidecar ${nodeId} went away before it answered.`));
  }
}

function settleJson(question: OpenQuestion, nodeId: string, json: string): void {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    question.fail(new QueryError('bad-answer', `The answer of ${nodeId} is not JSON.`));
    return;
  }
  question.answer(value);
}

function encodeQuestion(id: bigint, question: Question, timeoutMs: number): Query {
  return {
    id,
    timeoutMs: Math.min(timeoutMs, 0xffff_ffff),
    question: 'why' in question
      ? { $case: 'why', value: { requestId: question.why } }
      : { $case: 'inspect', value: { what: question.what, request: question.request ?? '' } },
  };
}
