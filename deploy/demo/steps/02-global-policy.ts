import { startTraffic } from '../traffic.ts';
import type { Step } from '../world.ts';

export const globalPolicy: Step = {
  title: 'a global policy is applied with --wait, and the very next request shows it',
  timeoutMs: 60_000,
  async run(world) {
    const { gatewayPort } = world.fleet;
    const traffic = startTraffic({ port: gatewayPort, path: '/', connections: 2, classify: ({ status }) => (status === 200 || status === 429 ? String(status) : null) });
    try {
      await traffic.more(20, 20_000);
      const applied = await world.remora(['apply', '-f', 'documents/everyone-is-limited.yaml', '--wait', '-m', 'one request a minute'], { author: 'ana', process: true });
      world.check('the answer says that all six enforce it: "enforced by 6 of 6"', /revision \d+ enforced by 6 of 6 in \d+ ms/.test(applied.out), applied.out);
      // Two clients kept calling: they have used up the one request of this minute.
      await traffic.more(4, 20_000);
      const next = await world.shop('/');
      world.check('the very next request is refused: 429, reason rate-limited', next.status === 429 && next.text.includes('rate-limited'), next);
      world.check('the refusal says when to come again', Number(next.headers['retry-after']) > 0, next.headers);
      const problem = JSON.parse(next.text) as Record<string, unknown>;
      world.check('it is problem+json with reason and request id', typeof problem['requestId'] === 'string' || typeof next.headers['x-request-id'] === 'string', problem);
    } finally {
      await traffic.stop();
    }
    world.check('no request of the other two clients failed in another way', traffic.failures.length === 0, traffic.failures.slice(0, 3));
  },
};
