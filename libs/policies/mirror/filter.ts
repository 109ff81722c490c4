import { headerId } from '@remora/http/header-ids';
import type { Call, Layer } from '@remora/policy-kit/exchange';
import { bodySlabs, ReplayBuffer } from '@remora/policy-kit/replay-buffer';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { BodyCopy } from './body-copy.ts';
import { MirroredCall, type MirrorPlan } from './mirrored-call.ts';
import { mirrorWire, type MirrorSettings } from './wire.ts';

/** Sends copies of requests to another destination. */
export const mirrorRuntime: RuntimeKind<MirrorSettings> = {
  ...mirrorWire,
  side: 'caller',
  layer: (settings, context) => (settings.ratio === 0 ? null : makeMirrorLayer(settings, context)),
};

function makeMirrorLayer({ to, ratio, bodyBytes, outstanding }: MirrorSettings, context: FilterContext): Layer {
  const slabs = bodySlabs(context.live);
  const plan: MirrorPlan = {
    context,
    elsewhere: context.detours.to(to),
    outstanding: context.live.keep(`mirror/${context.scope}`, '', () => ({ count: 0 })),
    counters: { sent: context.counter('mirror_sent'), answered: context.counter('mirror_answered'), failed: context.counter('mirror_failed') },
  };
  const dropped = context.counter('mirror_dropped');
  const unfinished = context.counter('mirror_body_not_copied');
  const begin = (call: Call, buffer: ReplayBuffer | null, bodyLength: number): void => {
    if (plan.outstanding.count >= outstanding) dropped();
    else new MirroredCall(plan, buffer).begin(call, bodyLength);
  };
  return (next) => (call, response) => {
    const { head } = call;
    // What is a copy already, or stands in for something, is not copied again; a tunnel cannot be.
    if (call.detour || head.has(mirrorHeader) || head.protocol !== '') return next(call, response);
    if (ratio < 1 && context.random.next() >= ratio) return next(call, response);
    if (head.bodyLength === 0) {
      const sink = next(call, response);
      begin(call, null, 0);
      return sink;
    }
    if (head.bodyLength > bodyBytes || plan.outstanding.count >= outstanding) {
      if (head.bodyLength > bodyBytes) unfinished();
      else dropped();
      return next(call, response);
    }
    const copy = new BodyCopy(call.body, new ReplayBuffer(bodyBytes, slabs), (buffer) => begin(call, buffer, buffer.trailers === null ? buffer.bytes : -1), unfinished);
    call.body = copy;
    copy.sink = next(call, response);
    return copy;
  };
}

const mirrorHeader = headerId('x-remora-mirror');
