import { encodeIntrospectionAnswer } from '@remora/policy-kit/tokens/introspection-question';
import { makeExchange } from '@remora/testing/exchange-driver';
import { measureEdge, typicalStep, type KindCost } from '@remora/testing/kind-bench';
import { tokenIntrospectionAuthoring } from './compile.ts';
import { tokenIntrospectionRuntime } from './filter.ts';

/** A token whose answer is remembered. */
export function bench(): KindCost {
  const step = { ...typicalStep, request: { ...typicalStep.request, headers: { ...(typicalStep.request.headers as Record<string, string>), authorization: 'Bearer 7c9e6679f3ab4a5e9f1d' } } };
  const runtime: typeof tokenIntrospectionRuntime = {
    ...tokenIntrospectionRuntime,
    edge(settings, context) {
      const answer = encodeIntrospectionAnswer({ claims: { active: true, sub: 'anna', scope: 'read write' } });
      const questions = { ask: (_topic: string, _body: Uint8Array, answered: (body: Uint8Array) => void): boolean => {
        queue.push(() => answered(answer));
        return true;
      } };
      const queue: (() => void)[] = [];
      tokenIntrospectionRuntime.edge?.(settings, Object.assign(Object.create(context) as typeof context, { questions }))?.request?.(makeExchange(step, context));
      for (const run of queue) run();
      return tokenIntrospectionRuntime.edge?.(settings, context) ?? null;
    },
  };
  return measureEdge(tokenIntrospectionAuthoring, runtime, { endpoint: 'https://login.example/introspect', clientId: 'gateway', clientSecret: { secret: 'introspection' }, cacheFor: '1h' }, step);
}
