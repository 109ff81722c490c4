import { systemClock } from '@remora/core/clock';
import type { JsonObject } from '@remora/core/canonical-json';
import { systemRandom } from '@remora/core/random';
import type { Head } from '@remora/http/head';
import { makeField } from '@remora/http/header-ids';
import { buildResponseHead } from '@remora/http/head-builder';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import type { Detours } from '@remora/policy-kit/detours';
import type { EdgeFilter, Exchange, Layer, Sink } from '@remora/policy-kit/exchange';
import type { RequestIdentity } from '@remora/policy-kit/request-identity';
import type { Due, RuntimeKind, TimerRun } from '@remora/policy-kit/runtime-kind';
import { effectiveSection } from './effective-section.ts';
import { makeExchange, type ExchangeStep } from './exchange-driver.ts';
import { ManualFilterTimers, TestFilterContext } from './filter-context.ts';
import { newCall, RecordingSource } from './layer-driver.ts';
import { ManualClock } from './manual-clock.ts';

/** What one kind costs a request: the same loop with and without it, in turns. */
export interface KindCost {
  readonly kind: string;
  readonly nsPerRequest: number;
}

/** A typical request: what a browser sends behind a gateway. */
export const typicalStep: ExchangeStep = {
  request: {
    method: 'GET', authority: 'orders.example', target: '/v1/orders/42?expand=lines',
    headers: {
      'user-agent': 'Mozilla/5.0', accept: 'application/json', 'accept-encoding': 'gzip', origin: 'https://shop.example', cookie: 'session=abc',
      'x-forwarded-for': '203.0.113.9', 'x-request-id': '7f3c2b1e-0000-4000-8000-000000000000', 'x-tenant': 'blue',
    },
  },
  upstream: { status: 200, headers: { 'content-type': 'application/json', server: 'app', date: 'Thu, 01 Jan 2026 00:00:00 GMT' }, bodyLength: 120 },
};

/** What a kind finds beside its settings. */
export interface BenchSurroundings {
  /** Of the row, where a kind has several. */
  readonly name?: string;
  readonly prepare?: (context: TestFilterContext) => void;
  readonly identity?: RequestIdentity;
  /** What the control thread answers, before the next request. */
  readonly answer?: (body: Uint8Array) => Uint8Array | null;
}

export function measureEdge<S>(authoring: AuthoringKind, runtime: RuntimeKind<S>, section: JsonObject, step: ExchangeStep = typicalStep, { name = runtime.name, prepare, identity, answer }: BenchSurroundings = {}): KindCost {
  const context = benchContext(runtime.name);
  prepare?.(context);
  const filter = runtime.edge?.(settingsOf(authoring, runtime, section), context);
  if (!filter) throw new Error(`${runtime.name}: this section builds no filter`);
  const x = makeExchange(step, context);
  const requestHead = x.head;
  const responseHead = buildResponseHead(step.upstream ?? { status: 200 });
  const loop = (one: EdgeFilter) => (): void => {
    x.head = ownCopy(requestHead);
    x.identity = identity ?? null;
    // As the engine does between two requests.
    x.slots.fill(undefined);
    if (answer !== undefined && context.asked.length > 0) for (const question of context.asked.splice(0)) question.answered(answer(question.body));
    const head = ownCopy(responseHead);
    x.responseHead = head;
    one.request?.(x);
    one.response?.(x, head);
    one.complete?.(x);
  };
  return { kind: name, nsPerRequest: difference(loop(filter), loop({ kind: 'nothing', request: touch, response: touch, complete: touch })) };
}

export function measureLayer<S>(authoring: AuthoringKind, runtime: RuntimeKind<S>, section: JsonObject, step: ExchangeStep = typicalStep): KindCost {
  const context = benchContext(runtime.name);
  const layer = runtime.layer?.(settingsOf(authoring, runtime, section), context);
  if (!layer) throw new Error(`${runtime.name}: this section builds no layer`);
  const x = makeExchange(step, context);
  const requestHead = x.head;
  const responseHead = buildResponseHead({ status: 200 });
  const loop = (one: Layer) => {
    const dispatch = one((_call, response) => {
      response.bind(source);
      response.head(responseHead, true);
      return silent;
    });
    return (): void => {
      x.head = ownCopy(requestHead);
      dispatch(newCall(x, source), silent);
    };
  };
  return { kind: runtime.name, nsPerRequest: difference(loop(layer), loop((next) => next)) };
}

/** A head that nothing else shares, as the codec hands it out: the cost of copying it falls on both loops. */
function ownCopy(head: Head): Head {
  const copy = head.fork();
  copy.put(marker);
  return copy;
}

const marker = makeField('x-bench', '1');

function touch(_x: Exchange): null {
  return null;
}

const source = new RecordingSource();
const silent: Sink = { bind() {}, info() {}, head() {}, data: () => true, trailers() {}, reset() {} };

function settingsOf<S>(authoring: AuthoringKind, runtime: RuntimeKind<S>, section: JsonObject): S {
  return runtime.decode(authoring.compile(effectiveSection(authoring, section)).body);
}

function benchContext(kind: string): TestFilterContext {
  return new BenchContext(kind, { scope: 'gateway/edge/', clock: new RunningClock(), random: systemRandom, detours: elsewhere });
}

/** Other destinations answer at once. */
const elsewhere: Detours = {
  to: () => (_call, response) => {
    response.bind(source);
    response.head(buildResponseHead({ status: 200 }), true);
    return silent;
  },
  beside: (x) => x,
};

class BenchContext extends TestFilterContext {
  override readonly timers = new PassingTimers(this.clock);

  override log(_line: string): void {}
}

/** Delays that go with their exchange, as those of the data thread do: nothing waits for them here. */
class PassingTimers extends ManualFilterTimers {
  #last: object = {};

  override after(delayMs: number, run: TimerRun | Due, x: Exchange, token: number): void {
    this.#last = { delayMs, run, x, token, before: null, after: this.#last === null };
  }
}

class RunningClock extends ManualClock {
  override wallMs(): number {
    return systemClock.wallMs();
  }

  override monotonicMs(): number {
    return systemClock.monotonicMs();
  }
}

const rounds = 15;
const iterations = 100_000;

/** Median of the differences of neighbouring rounds, after the first ones, in which the compiler is still at work. */
function difference(withKind: () => void, without: () => void): number {
  const differences = Array.from({ length: rounds }, () => timed(withKind) - timed(without)).slice(4).sort((a, b) => a - b);
  return Math.max(0, differences[Math.floor(differences.length / 2)] ?? 0);
}

/** Nanoseconds of this process's own time per call: what else runs on the machine does not count. */
function timed(run: () => void): number {
  const before = process.cpuUsage().user;
  for (let i = 0; i < iterations; i += 1) run();
  return ((process.cpuUsage().user - before) * 1000) / iterations;
}
