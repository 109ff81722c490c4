import { internHeaderName } from '@remora/http/header-ids';
import type { Call, Layer } from '@remora/policy-kit/exchange';
import { WireError, type FilterContext, type RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { RetryBudget } from './retry-budget.ts';
import { RetryCall } from './retry-call.ts';
import { retryWire, type RetrySettings } from './wire.ts';

/** Makes further attempts of calls that failed, within a budget. */
export const retryRuntime: RuntimeKind<RetrySettings> = {
  ...retryWire,
  side: 'caller',
  tcp: true,
  reasons: [],
  layer: makeRetryLayer,
};

function makeRetryLayer(settings: RetrySettings, context: FilterContext): Layer {
  if (settings.retries === 0) return (next) => (call, response) => next(limitSingleTry(call), response);
  const headerIds = settings.retriableHeaders.map((name) => {
    const id = internHeaderName(name);
    if (id === 0) throw new WireError('/retriableHeaders', 'too-many', 'the table of header names is full');
    return id;
  });
  const budget = keepBudget(settings, context);
  const attempted = context.counter('retry_attempted');
  const budgetExhausted = context.counter('retry_budget_exhausted');
  const repeated = context.counter('retry_repeated');
  return (next) => {
    const plan = { settings, context, budget, headerIds, next, attempted, budgetExhausted, repeated };
    return (call, response) => {
      const retrying = new RetryCall(plan, call, response);
      retrying.begin();
      return retrying;
    };
  };
}

/**
 * The layer on the way to the own app, which no policy shapes, where the app speaks HTTP/2: all it does is to make good, once, what the app refused
 * without looking at it. Servers that end connections by age do that.
 */
export function makeRepeatLayer(context: FilterContext): Layer {
  const budget = new RetryBudget({ ratio: 0, minPerSecond: 0 });
  const repeated = context.counter('retry_repeated');
  return (next) => {
    const plan = { settings: repeatOnly, context, budget, headerIds: [], next, attempted: ignore, budgetExhausted: ignore, repeated };
    return (call, response) => {
      const retrying = new RetryCall(plan, call, response);
      retrying.begin();
      return retrying;
    };
  };
}

const repeatOnly: RetrySettings = Object.freeze({
  retries: 1, onReset: false, onRefusedStream: false, onStatuses: new Set<number>(), onGrpcStatuses: new Set<string>(), retriableHeaders: [], backoffBaseMs: 1, backoffMaxMs: 1,
  retryAfterMaxMs: 0, budgetRatio: 0, budgetMinPerSecond: 0, replayBytes: 64 * 1024,
});

function ignore(): void {}

/** `timeout.perTry` holds for the only try too. */
function limitSingleTry(call: Call): Call {
  const { perTryTimeoutMs: perTryMs } = call;
  if (perTryMs > 0 && (call.headersTimeoutMs === 0 || perTryMs < call.headersTimeoutMs)) call.headersTimeoutMs = perTryMs;
  return call;
}

/** One budget per destination (the scope without its route), kept over snapshots: a push does not grant a herd of fresh retries. */
function keepBudget({ budgetRatio: ratio, budgetMinPerSecond: minPerSecond }: RetrySettings, context: FilterContext): RetryBudget {
  const destination = context.scope.slice(0, context.scope.lastIndexOf('/'));
  const shape = `${ratio} ${minPerSecond}`;
  return context.live.keep(`retry/${destination}/${shape}`, shape, () => new RetryBudget({ ratio, minPerSecond }));
}
