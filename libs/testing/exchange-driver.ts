import type { Head } from '@remora/http/head';
import { buildRequestHead, buildResponseHead, type RequestHeadParts, type ResponseHeadParts } from '@remora/http/head-builder';
import { Exchange, HOLD, WAIT, type Answer, type ConnectionFacts, type EdgeFilter, type Side, type Verdict } from '@remora/policy-kit/exchange';
import { heldBody } from './held-body.ts';
import type { TestFilterContext } from './filter-context.ts';

/**
 * Runs one edge filter against a request and the response that an upstream would give, as the engine would: what it
 * decides, what it forwards and what it returns come back as plain data for tables and goldens.
 */
export function driveExchange(filter: EdgeFilter, context: TestFilterContext, step: ExchangeStep): ExchangeOutcome {
  const x = makeExchange(step, context);
  const [verdict, waitedMs] = settle(ask(filter, x, step), x, context);
  const outcome = finish(filter, x, verdict, step);
  filter.complete?.(x);
  return waitedMs > 0 ? { ...outcome, waitedMs } : outcome;
}

/** A filter that wants the body gets all of it. */
function ask(filter: EdgeFilter, x: Exchange, { body = '' }: ExchangeStep): Verdict {
  const verdict = filter.request?.(x) ?? null;
  return verdict === HOLD ? (filter.requestHeld?.(x, heldBody(body)) ?? null) : verdict;
}

function finish(filter: EdgeFilter, x: Exchange, verdict: Verdict, step: ExchangeStep): ExchangeOutcome {
  if (verdict === WAIT) return { verdict: 'stuck', status: 0, response: [] };
  if (verdict === null) return { verdict: 'pass', forwarded: headLines(x.head), ...respond(filter, x, step) };
  return { verdict: verdict.reason.code, pointer: verdict.pointer, detail: verdict.detail, ...answer(filter, x, verdict) };
}

export interface ExchangeStep {
  readonly request: RequestHeadParts;
  /** For filters that hold it. */
  readonly body?: string;
  /** 200 without fields unless told. */
  readonly upstream?: ResponseHeadParts;
  readonly clientAddress?: string;
  readonly connection?: Partial<ConnectionFacts>;
  readonly side?: Side;
  readonly route?: string;
  readonly owner?: string;
  readonly pathValues?: Readonly<Record<string, string>>;
}

export interface ExchangeOutcome {
  /** `pass`, or the code of the reason. `stuck`: the filter waited and nothing woke it within an hour. */
  readonly verdict: string;
  readonly pointer?: string;
  readonly detail?: string;
  readonly waitedMs?: number;
  /** Request line and fields as forwarded. */
  readonly forwarded?: readonly string[];
  readonly status: number;
  /** Fields of the response. */
  readonly response: readonly string[];
}

export function makeExchange(step: ExchangeStep, context: { readonly clock: { monotonicMs(): number; wallMs(): number }; readonly slotCount?: number }): Exchange {
  const x = new Exchange();
  x.head = buildRequestHead(step.request);
  x.connection = {
    peerAddress: '192.0.2.10', peerPort: 40_000, localAddress: '192.0.2.1', localPort: 8080, portName: 'http', tls: false, serverName: '', principal: '', trusted: false, ...step.connection,
  };
  x.clientAddress = step.clientAddress ?? x.connection.peerAddress;
  x.pin = {
    side: step.side ?? 'inbound', route: step.route ?? '', owner: step.owner ?? 'orders', filters: [], slotCount: context.slotCount ?? 0,
    configVersion: '1.1', configHash: '00',
  };
  x.slots = Array.from({ length: context.slotCount ?? 0 }, () => undefined);
  x.pathNames = Object.keys(step.pathValues ?? {});
  x.pathValues = Object.values(step.pathValues ?? {});
  x.requestId = 'request-1';
  x.startedAt = context.clock.monotonicMs();
  x.startedWallMs = context.clock.wallMs();
  return x;
}

/** Fields in order, as `name: value`; a request starts with its line. */
export function headLines(head: Head): string[] {
  const lines = head.method === '' ? [] : [`${head.method} ${head.target}`];
  head.forEach((name, value) => lines.push(`${name}: ${value}`));
  return lines;
}

const longestWaitMs = 3_600_000;

/** Lets time pass while the filter waits. Answers the verdict and how long it took. */
function settle(first: Verdict, x: Exchange, context: TestFilterContext): [Verdict, number] {
  if (first !== WAIT) return [first, 0];
  const startedAt = context.clock.monotonicMs();
  const decided: Verdict[] = [];
  x.proceed = (token) => void (token === x.token && decided.push(null));
  x.answer = (token, verdict) => void (token === x.token && decided.push(verdict));
  while (decided.length === 0 && context.timers.pending > 0 && context.clock.monotonicMs() - startedAt < longestWaitMs) context.timers.advance(1);
  x.token += 1;
  return [decided[0] === undefined ? WAIT : decided[0], context.clock.monotonicMs() - startedAt];
}

function respond(filter: EdgeFilter, x: Exchange, step: ExchangeStep): { status: number; response: string[] } {
  const head = buildResponseHead(step.upstream ?? { status: 200 });
  x.responseHead = head;
  filter.response?.(x, head);
  return { status: head.status, response: headLines(head) };
}

function answer(filter: EdgeFilter, x: Exchange, refusal: Answer): { status: number; response: string[] } {
  x.refusal = refusal;
  const final = filter.answer?.(x, refusal) ?? refusal;
  const head = buildResponseHead({ status: final.status });
  for (const field of final.fields) head.put(field);
  x.responseHead = head;
  filter.response?.(x, head);
  return { status: head.status, response: headLines(head) };
}
