import type { BenchRow } from '../bench-document.ts';
import { Fixture } from '../../e2e/fixture.ts';
import { startHopChain } from '../../e2e/hop-chain.ts';

const requests = 2000;
const retry = (rest: string): string => `{kind: Policy, name: retries, target: {}, retry: {retries: 2, retryOn: [gateway-error], ${rest}}}`;

/** Three hops that each retry, and a total outage of what the last of them calls: how many requests reach it for each that was sent, with the guard and without. */
export async function amplificationRows({ bundled }: { readonly bundled: boolean }): Promise<BenchRow[]> {
  const known = await factors(['x-request-id'], bundled, [retry('budget: {ratio: 20%, minPerSecond: 3}'), retry('guard: false, budget: {ratio: 20%, minPerSecond: 3}'), retry('guard: false, budget: {ratio: 100%, minPerSecond: 1000}')]);
  const [nothing = Number.NaN] = await factors([], bundled, [retry('budget: {ratio: 20%, minPerSecond: 3}')]);
  const [guarded = Number.NaN, budgetsAlone = Number.NaN, open = Number.NaN] = known;
  return [
    { what: 'three hops that retry, outage of the last: load', value: round(guarded), unit: '×', bar: '≤ 1.25', ok: guarded <= 1.25 },
    { what: 'the same, with budgets alone (guard: false)', value: round(budgetsAlone), unit: '×', bar: '', ok: null },
    { what: 'the same, without budgets too', value: round(open), unit: '×', bar: '', ok: null },
    { what: 'the same with both, apps that hand on nothing', value: round(nothing), unit: '×', bar: '', ok: null },
  ];
}

async function factors(handsOn: readonly string[], bundled: boolean, policies: readonly string[]): Promise<number[]> {
  const fixture = new Fixture();
  const chain = await startHopChain(fixture, handsOn, bundled);
  try {
    const found: number[] = [];
    for (const policy of policies) {
      await chain.apply(policy);
      chain.ledger.status = 503;
      chain.ledger.seen = 0;
      // What is not held back is 27 times as much: fewer will do.
      const count = policy.includes('100%') ? requests / 20 : requests;
      await chain.send(count, 20);
      found.push(chain.ledger.seen / count);
    }
    return found;
  } finally {
    await fixture.end();
    await chain.close();
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
