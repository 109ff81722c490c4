import { createHmac } from 'node:crypto';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { consumerFacts, consumersNamed } from '@remora/testing/consumer-facts';
import { TestFilterContext } from '@remora/testing/filter-context';
import { measureEdge, typicalStep, type KindCost } from '@remora/testing/kind-bench';
import { hmacAuthoring } from './compile.ts';
import { hmacRuntime } from './filter.ts';
import type { HmacSettings } from './wire.ts';

const secret = Buffer.alloc(32, 1);

/** A signature by a shared secret over method, authority, path and query. */
export function bench(): KindCost {
  const input = `("@method" "@authority" "@path" "@query");created=${Math.floor(Date.now() / 1000)};keyid="k1"`;
  const base = `"@method": GET\n"@authority": orders.example\n"@path": /v1/orders/42\n"@query": ?expand=lines\n"@signature-params": ${input}`;
  const fields = { 'signature-input': `s=${input}`, signature: `s=:${createHmac('sha256', secret).update(base).digest('base64')}:` };
  const step = { ...typicalStep, request: { ...typicalStep.request, headers: { ...(typicalStep.request.headers as Record<string, string>), ...fields } } };
  return measureEdge(hmacAuthoring, knowing(), { enabled: true }, step);
}

function knowing(): RuntimeKind<HmacSettings> {
  return {
    ...hmacRuntime,
    edge(settings, context) {
      if (context instanceof TestFilterContext) {
        context.factBooks.apply(consumerFacts({ 'consumers.1': { consumers: consumersNamed('app') }, 'hmac.1': { signingKeys: [{ consumer: 'app', id: 'k1', keyId: 'k1', algorithm: 'hmac-sha256', key: secret, issuer: '', expiresMs: 0n }] } }));
      }
      return hmacRuntime.edge?.(settings, context) ?? null;
    },
  };
}
