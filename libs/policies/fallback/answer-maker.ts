import { isGrpcContentType } from '@remora/http/grpc-content-type';
import type { Head } from '@remora/http/head';
import { buildResponseHead } from '@remora/http/head-builder';
import { headerId } from '@remora/http/header-ids';
import type { Answer, Exchange } from '@remora/policy-kit/exchange';
import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import { parseTemplate } from '@remora/policy-kit/template';
import { compileTemplate, type Evaluator } from '@remora/policy-kit/variables';
import { WireError } from '@remora/policy-kit/runtime-kind';
import type { GoodAnswer } from './good-answers.ts';
import type { FixedAnswer } from './wire.ts';

/** A response that is ready to be sent. */
export interface MadeAnswer {
  readonly head: Head;
  readonly body: Uint8Array;
  readonly bodiless: boolean;
}

/** Makes fixed answers, templates compiled once. */
export class AnswerMaker {
  readonly #settings: FixedAnswer;
  readonly #headers: readonly { readonly name: string; readonly value: Evaluator }[];
  readonly #body: Evaluator;
  readonly #context: FilterContext;

  constructor(settings: FixedAnswer, context: FilterContext) {
    this.#settings = settings;
    this.#context = context;
    this.#headers = settings.headers.map(({ name, value }) => ({ name, value: template(value, `/answer/headers/${name}`, context) }));
    this.#body = template(settings.body, '/answer/body', context);
  }

  /** Null: the request is gRPC, and there is no answer for such. `original`: what the templates know as the reason. */
  make(x: Exchange, original: Answer): MadeAnswer | null {
    if (isGrpc(x.head)) return this.#settings.grpcStatus === 0 ? null : this.#grpc(x, original);
    const body = Buffer.from(this.#body(x, original));
    const headers = this.#headers.map(({ name, value }): readonly [string, string] => [name, plain(value(x, original))]);
    const typed = body.length === 0 || headers.some(([name]) => name === 'content-type') ? headers : [['content-type', 'text/plain; charset=utf-8'] as const, ...headers];
    const { status } = this.#settings;
    const head = buildResponseHead({ status, headers: [...typed, ...this.#marks('answer')], bodyLength: body.length });
    return { head, body, bodiless: x.head.method === 'HEAD' || status === 204 || status === 304 };
  }

  #grpc(x: Exchange, original: Answer): MadeAnswer {
    const type = x.head.valueAt(contentTypeHeader, 0);
    const message = encodeURIComponent(this.#body(x, original)).slice(0, grpcMessageMax);
    const head = buildResponseHead({
      status: 200, bodyLength: 0,
      headers: [['content-type', type], ['grpc-status', String(this.#settings.grpcStatus)], ...(message === '' ? [] : [['grpc-message', message] as const]), ...this.#marks('answer')],
    });
    return { head, body: nothing, bodiless: true };
  }

  #marks(what: string): readonly (readonly [string, string])[] {
    return marksOf(what, this.#context.clock.wallMs());
  }
}

/** The last good answer, marked with its age. */
export function staleAnswer({ status, headers, body, bodyLength, storedAtMs }: GoodAnswer, x: Exchange, { clock }: FilterContext): MadeAnswer {
  const age = String(Math.max(0, Math.floor((clock.monotonicMs() - storedAtMs) / 1000)));
  return {
    head: buildResponseHead({ status, headers: [...headers, ['age', age], ...marksOf('stale', clock.wallMs())], bodyLength }),
    body, bodiless: x.head.method === 'HEAD',
  };
}

function marksOf(what: string, wallMs: number): readonly (readonly [string, string])[] {
  return [['x-remora-fallback', what], ['x-remora-origin', 'remora'], ['date', new Date(wallMs).toUTCString()]];
}

export function isGrpc(head: Head): boolean {
  return head.has(contentTypeHeader) && isGrpcContentType(head.valueAt(contentTypeHeader, 0));
}

function template(text: string, pointer: string, { random, clock }: FilterContext): Evaluator {
  const parsed = parseTemplate(text, 'answer');
  if (!parsed.ok) throw new WireError(pointer, parsed.code, parsed.error);
  return compileTemplate(parsed.parts, { random, clock, lengthMax: 64 * 1024 });
}

/** What a client wrote may have become part of the value: a decoded query can hold anything. */
function plain(value: string): string {
  // oxlint-disable-next-line no-control-regex -- these are what has to go
  return value.replaceAll(/[\u0000-\u001f\u007f\u0100-\uffff]/g, ' ').trim();
}

const contentTypeHeader = headerId('content-type');
/** Characters after percent-encoding. */
const grpcMessageMax = 1024;
const nothing = new Uint8Array(0);
