import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Fixture } from './fixture.ts';
import { startHopChain, type HopChain } from './hop-chain.ts';

/** Three hops that each retry, and a total outage of what is behind the last of them: how much more load does it get? */
describe.each([
  { handsOn: ['x-request-id'], most: 1.25 },
  { handsOn: ['traceparent'], most: 1.25 },
  // Nobody knows of the others: each hop adds its budget, and its reserve.
  { handsOn: [], most: 1.2 ** 3 + 0.1 },
])('hops whose apps hand on $handsOn', ({ handsOn, most }) => {
  const fixture = new Fixture();
  let chain: HopChain;

  beforeAll(async () => { chain = await startHopChain(fixture, handsOn); });

  afterAll(async () => {
    await fixture.end();
    await chain.close();
  });

  /** Requests that reach the last hop, for each that the first one sends. */
  async function amplification(count: number): Promise<number> {
    chain.ledger.status = 503;
    chain.ledger.seen = 0;
    const answers = await chain.send(count, 20);
    expect(answers.filter(({ status }) => status !== 503)).toEqual([]);
    return chain.ledger.seen / answers.length;
  }

  const retry = (rest: string): string => `{kind: Policy, name: retries, target: {}, retry: {retries: 2, retryOn: [gateway-error], backoff: {base: 1ms, max: 2ms}, ${rest}}}`;

  test(`send at most ${most.toFixed(2)} times the load`, async () => {
    await chain.apply(retry('budget: {ratio: 20%, minPerSecond: 1}'));
    const factor = await amplification(1500);
    expect(factor).toBeLessThanOrEqual(most);
    expect(factor).toBeGreaterThan(1.05);
  });

  test('send 27 times the load with the guard off and a budget that denies nothing', async () => {
    await chain.apply(retry('guard: false, budget: {ratio: 100%, minPerSecond: 1000}'));
    expect(await amplification(40)).toBe(27);
  });

  test.each(handsOn.length > 0 ? ['with the guard and such a budget'] : [])('%s try again next to the failure alone', async () => {
    await chain.apply(retry('budget: {ratio: 100%, minPerSecond: 1000}'));
    expect(await amplification(200)).toBe(3);
  });
});
