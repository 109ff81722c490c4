import { internHeaderName } from '@remora/http/header-ids';
import type { Call, Layer } from '@remora/policy-kit/exchange';
import { bodySlabs } from '@remora/policy-kit/replay-buffer';
import { WireError, type FilterContext, type RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { LayerBudget } from './layer-budget.ts';
import { RetryCall, type RetryPlan } from './retry-call.ts';
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
  const headerIds = settings.retriableHeaders.map((name) => {
    const id = internHeaderName(name);
    if (id === 0) throw new WireError('/retriableHeaders', 'too-many', 'the table of header names is full');
    return id;
  });
  const budget = new LayerBudget({ ratio: settings.budgetRatio, minPerSecond: settings.budgetMinPerSecond }, context);
  if (settings.retries === 0) return makeSingleTryLayer(budget, context);
  const attempted = context.counter('retry_attempted');
  const repeated = context.counter('retry_repeated');
  const spent = context.counter('retry_spent');
  const slabs = bodySlabs(context.live);
  return (next) => {
    const plan: RetryPlan = { settings, context, budget, headerIds, next, slabs, attempted, repeated, spent };
    return (call, response) => {
      const retrying = new RetryCall(plan, call, response);
      retrying.begin();
      return retrying;
    };
  };
}

/** Nothing is tried again here, but the layers inside may hedge. */
function makeSingleTryLayer(budget: LayerBudget, { clock }: FilterContext): Layer {
  return (next) => (call, response) => {
    budget.sent(clock.monotonicMs());
    call.budget = budget;
    return next(limitSingleTry(call), response);
  };
}

/**
 * The layer on the way to the own app, which no policy shapes, where the app speaks HTTP/2: all it does is to make good, once, what the app refused
 * without looking at it. Servers that end connections by age do that.
 */
export function makeRepeatLayer(context: FilterContext): Layer {
  const repeated = context.counter('retry_repeated');
  const slabs = bodySlabs(context.live);
  return (next) => {
    const plan: RetryPlan = { settings: repeatOnly, context, budget: noBudget, headerIds: [], next, slabs, attempted: ignore, repeated, spent: ignore };
    return (call, response) => {
      const retrying = new RetryCall(plan, call, response);
      retrying.begin();
      return retrying;
    };
  };
}

const noBudget = { sent: ignore, take: () => false } as const;

const repeatOnly: RetrySettings = Object.freeze({
  retries: 1, onReset: false, onRefusedStream: false, onStatuses: new Set<number>(), onGrpcStatuses: new Set<string>(), retriableHeaders: [], backoffBaseMs: 1, backoffMaxMs: 1,
  retryAfterMaxMs: 0, budgetRatio: 0, budgetMinPerSecond: 0, replayBytes: 64 * 1024, guarded: false,
});

function ignore(): void {}

/** `timeout.perTry` holds for the only try too. */
function limitSingleTry(call: Call): Call {
  const { perTryTimeoutMs: perTryMs } = call;
  if (perTryMs > 0 && (call.headersTimeoutMs === 0 || perTryMs < call.headersTimeoutMs)) call.headersTimeoutMs = perTryMs;
  return call;
}
