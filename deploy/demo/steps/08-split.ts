import { hopsOf } from '../shop-answer.ts';
import { startTraffic } from '../traffic.ts';
import type { Step } from '../world.ts';

/** Requests measured. The share of v2 is then 10 % ± 5 standard deviations of 0.55 %, outside of which chance does not come once in a million runs. */
const measured = 3_000;
const share = 0.1;
const deviations = 5;

export const split: Step = {
  title: 'a split 90/10 between two versions of orders is applied while requests run, and none fails',
  timeoutMs: 120_000,
  async run(world) {
    const traffic = startTraffic({ port: world.fleet.gatewayPort, path: '/', connections: 4, classify: ({ status, text }) => (status === 200 ? (hopsOf(text)[1] ?? null) : null) });
    try {
      await traffic.more(200, 30_000);
      await world.remora(['apply', '-f', 'documents/orders-split.yaml', '--wait', '-m', '10 % to v2']);
      // What was in flight before the answer may still have been balanced as before.
      await traffic.more(4, 20_000);
      const before = new Map(traffic.counts);
      await traffic.more(measured, 60_000);
      const count = (version: string): number => (traffic.counts.get(version) ?? 0) - (before.get(version) ?? 0);
      const [v1, v2] = [count('orders v1'), count('orders v2')];
      const total = v1 + v2;
      const bound = deviations * Math.sqrt((share * (1 - share)) / total);
      world.narrator.say(`${v1} requests went to v1, ${v2} to v2: ${((100 * v2) / total).toFixed(1)} %`);
      world.check(`the share of v2 is 10 % ± ${(100 * bound).toFixed(1)} %`, Math.abs(v2 / total - share) <= bound, { v1, v2 });
    } finally {
      await traffic.stop();
    }
    world.check(`none of ${traffic.sent} requests failed`, traffic.failures.length === 0, traffic.failures.slice(0, 3));
  },
};
