import { scryptSync } from 'node:crypto';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { consumerFacts, consumersNamed } from '@remora/testing/consumer-facts';
import { makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { measureEdge, typicalStep, type KindCost } from '@remora/testing/kind-bench';
import { basicAuthAuthoring } from './compile.ts';
import { basicAuthRuntime } from './filter.ts';
import type { BasicAuthSettings } from './wire.ts';

const salt = Buffer.alloc(16, 1);
const cost = { cost: 16, blockSize: 8, parallelization: 1 };
const step = { ...typicalStep, request: { ...typicalStep.request, headers: { ...(typicalStep.request.headers as Record<string, string>), authorization: `Basic ${Buffer.from('ana:password-1').toString('base64')}` } } };

/** A password that was verified before. */
export async function bench(): Promise<KindCost> {
  const before = new TestFilterContext('basicAuth');
  before.factBooks.apply(consumerFacts({
    'consumers.1': { consumers: consumersNamed('app') },
    'basic.1': { passwords: [{ consumer: 'app', id: 'x', user: 'ana', algorithm: 'scrypt', salt, ...cost, hash: scryptSync('password-1', salt, 32, cost), expiresMs: 0n }] },
  }));
  const filter = basicAuthRuntime.edge?.({ realm: 'remora', forwardCredentials: false }, before);
  await new Promise<void>((resolve) => {
    const x = makeExchange(step, before);
    x.proceed = () => resolve();
    filter?.request?.(x);
  });
  return measureEdge(basicAuthAuthoring, over(before), { enabled: true }, step);
}

function over(before: TestFilterContext): RuntimeKind<BasicAuthSettings> {
  return { ...basicAuthRuntime, edge: (settings) => basicAuthRuntime.edge?.(settings, before) ?? null };
}
