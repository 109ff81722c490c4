import type { JsonObject } from '@remora/core/canonical-json';
import type { EdgeFilter } from '@remora/policy-kit/exchange';
import { FactBooks, type FactUpdate } from '@remora/policy-kit/facts';
import { ConsumersPart } from '@remora/proto/gen/remora/consumers/v1/consumers';
import { effectiveSection, sectionViolations } from '@remora/testing/effective-section';
import { TestFilterContext, type TestContextOptions } from '@remora/testing/filter-context';
import { jwtAuthoring } from '../compile.ts';
import { jwtRuntime } from '../filter.ts';
import { ThreadTokens } from '../thread-tokens.ts';

export interface BuiltJwt {
  readonly filter: EdgeFilter;
  readonly context: TestFilterContext;
  readonly facts: FactBooks;
  readonly nowMs: number;
}

export interface BuildOptions extends TestContextOptions {
  /** Where signatures of public keys are verified; left out: as the thread has time. */
  readonly verify?: 'at once' | 'elsewhere';
}

/** A filter of the section, as a data thread would build it. */
export function buildJwt(section: JsonObject, { verify, ...options }: BuildOptions = {}): BuiltJwt {
  const violations = sectionViolations(jwtAuthoring, section);
  if (violations.length > 0) throw new Error(JSON.stringify(violations));
  const facts = options.factBooks ?? new FactBooks();
  const context = new TestFilterContext('jwt', { ...options, factBooks: facts });
  if (verify !== undefined) ThreadTokens.over(context.facts('jwks'), verify === 'at once' ? Number.POSITIVE_INFINITY : 0);
  const filter = jwtRuntime.edge?.(jwtRuntime.decode(jwtAuthoring.compile(effectiveSection(jwtAuthoring, section)).body), context);
  if (!filter) throw new Error('the section builds a filter');
  return { filter, context, facts, nowMs: context.clock.wallMs() };
}

export interface TestConsumer {
  readonly name: string;
  readonly identities?: readonly { readonly issuer: string; readonly claim: string; readonly value: string }[];
  readonly tokenKeys?: readonly { readonly keyId: string; readonly algorithm: string; readonly key: Uint8Array; readonly issuer: string }[];
}

/** What the control plane sends of consumers. */
export function consumerFacts(...consumers: readonly TestConsumer[]): FactUpdate {
  const part = ConsumersPart.fromPartial({
    consumers: consumers.map(({ name, identities = [] }) => ({ name, groups: [], plan: '', identities: [...identities] })),
    tokenKeys: consumers.flatMap(({ name, tokenKeys = [] }) => tokenKeys.map((key) => ({ ...key, key: Buffer.from(key.key), consumer: name, id: key.keyId, expiresMs: 0n }))),
  });
  return { kind: 'consumers', full: true, facts: new Map([['consumers.0', ConsumersPart.encode(part).finish()]]) };
}
