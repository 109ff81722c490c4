import { createHmac } from 'node:crypto';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { consumerFacts, consumersNamed } from '@remora/testing/consumer-facts';
import { TestFilterContext } from '@remora/testing/filter-context';
import { measureEdge, typicalStep, type KindCost } from '@remora/testing/kind-bench';
import { apiKeyAuthoring } from './compile.ts';
import { apiKeyRuntime } from './filter.ts';
import type { ApiKeySettings } from './wire.ts';

const lookupKey = Buffer.alloc(32, 1);
const key = 'rk_abcdefgh_0123456789abcdefghijklmnopqrstuv';
const consumers = 1_000;

/** A key that was seen before, among a thousand. */
export function bench(): KindCost {
  const step = { ...typicalStep, request: { ...typicalStep.request, headers: { ...(typicalStep.request.headers as Record<string, string>), 'x-api-key': key } } };
  return measureEdge(apiKeyAuthoring, knowing(), {}, step);
}

function knowing(): RuntimeKind<ApiKeySettings> {
  return {
    ...apiKeyRuntime,
    edge(settings, context) {
      if (context instanceof TestFilterContext) context.factBooks.apply(known());
      return apiKeyRuntime.edge?.(settings, context) ?? null;
    },
  };
}

function known(): ReturnType<typeof consumerFacts> {
  const names = Array.from({ length: consumers }, (_, i) => `app-${i}`);
  const keys = names.map((consumer, i) => ({ consumer, id: consumer, expiresMs: 0n, digest: createHmac('sha256', lookupKey).update(i === 500 ? key : consumer).digest() }));
  return consumerFacts({ key: { lookupKey }, 'consumers.1': { consumers: consumersNamed(...names) }, 'apiKey.1': { apiKeys: keys } });
}
