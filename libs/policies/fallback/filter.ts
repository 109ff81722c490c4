import { BodyRelay } from '@remora/policy-kit/body-relay';
import type { Layer } from '@remora/policy-kit/exchange';
import { bodySlabs, ReplayBuffer } from '@remora/policy-kit/replay-buffer';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { AnswerKeeper } from './answer-keeper.ts';
import { AnswerMaker } from './answer-maker.ts';
import { FallbackCall, type FallbackPlan } from './fallback-call.ts';
import { fallbackWire, type FallbackSettings } from './wire.ts';

/** Something that answers when every attempt failed. */
export const fallbackRuntime: RuntimeKind<FallbackSettings> = {
  ...fallbackWire,
  side: 'caller',
  layer: makeFallbackLayer,
};

function makeFallbackLayer(settings: FallbackSettings, context: FilterContext): Layer {
  const { to, stale, answer } = settings;
  const slabs = bodySlabs(context.live);
  const made = {
    settings, context,
    elsewhere: to === null ? null : context.detours.to(to),
    keeper: stale === null ? null : new AnswerKeeper(stale, context),
    maker: answer === null ? null : new AnswerMaker(answer, context),
    counters: {
      answered: context.counter('fallback_answered'), redirected: context.counter('fallback_redirected'), stale: context.counter('fallback_stale'), unanswered: context.counter('fallback_unanswered'),
    },
  };
  return (next) => {
    const plan: FallbackPlan = { ...made, next };
    return (call, response) => {
      const { detour, head, body } = call;
      // Nobody stands in for a tunnel, nor for what stands in already.
      if (detour || head.protocol !== '') return next(call, response);
      const relay = to === null || head.bodyLength === 0 ? null : new BodyRelay(body, new ReplayBuffer(to.replayBytes, slabs), context);
      return new FallbackCall(plan, call, response, relay).begin();
    };
  };
}
