import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import type { Call, Layer } from '@remora/policy-kit/exchange';
import { isIdempotent } from '@remora/policy-kit/idempotent';
import { bodySlabs, ReplayBuffer } from '@remora/policy-kit/replay-buffer';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { HedgeDelay } from './hedge-delay.ts';
import { HedgedBody } from './hedged-body.ts';
import { HedgedCall, type HedgePlan } from './hedged-call.ts';
import { LatencySketch } from './latency-sketch.ts';
import { hedgingWire, type HedgingSettings } from './wire.ts';

/** Tries a call a second time when it takes longer than usual, at another host, within the budget of retries. */
export const hedgingRuntime: RuntimeKind<HedgingSettings> = {
  ...hedgingWire,
  side: 'caller',
  layer: makeHedgingLayer,
};

function makeHedgingLayer(settings: HedgingSettings, context: FilterContext): Layer {
  const { replayBytes } = settings;
  const slabs = bodySlabs(context.live);
  const key = `hedging/${context.scope}`;
  const memory = context.shared?.(key, '', LatencySketch.bytes) ?? null;
  const sketch = context.live.keep(key, '', () => new LatencySketch(memory ?? { buffer: new ArrayBuffer(LatencySketch.bytes) }));
  const delay = new HedgeDelay(settings, sketch);
  const counters = { hedged: context.counter('hedging_hedged'), won: context.counter('hedging_won'), unaffordable: context.counter('hedging_unaffordable') };
  return (next) => {
    const plan: HedgePlan = { context, next, delay, counters };
    return (call, response) => {
      if (!mayBeHedged(call, replayBytes)) return next(call, response);
      const nowMs = context.clock.monotonicMs();
      const hedged = new HedgedCall(plan, call, response, nowMs);
      const delayMs = delay.at(nowMs);
      if (call.head.bodyLength === 0 || delayMs === null) return hedged.begin(delayMs);
      const body = new HedgedBody(call.body, new ReplayBuffer(replayBytes, slabs), hedged);
      hedged.body = body;
      call.body = body;
      body.sink = hedged.begin(delayMs);
      return body;
    };
  };
}

/** First tries of what can be done twice, and whose body can be kept. What another hop tries again already is not multiplied here. */
function mayBeHedged({ attempt, head }: Call, replayBytes: number): boolean {
  return attempt === 1 && head.protocol === '' && isIdempotent(head) && head.bodyLength <= replayBytes && !isRetry(head);
}

function isRetry(head: Head): boolean {
  return head.has(attemptHeader) && Number(head.valueAt(attemptHeader, 0)) > 1;
}

const attemptHeader = headerId('x-remora-attempt');
