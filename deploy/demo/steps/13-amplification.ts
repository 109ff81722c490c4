import { askShop } from '../gateway-client.ts';
import { startTraffic } from '../traffic.ts';
import { until } from '../until.ts';
import { busyPartner } from '../partner.ts';
import type { Step, World } from '../world.ts';

const instances = ['payments-1', 'payments-2'];

export const amplification: Step = {
  title: 'payments is gone, and three hops try again: how much more load does it get? with nothing, with budgets, with the guard',
  timeoutMs: 120_000,
  async run(world) {
    const { key, document } = await busyPartner(world);
    await world.remora(['apply', '-f', document, '--wait', '-m', 'the partner is welcome']);
    for (const name of instances) world.fleet.member(name).app?.write('fail 503');
    const nothing = await factor(world, { key, document: 'retries-storm.yaml', requests: 40 });
    world.narrator.say(`nothing holds retries back: payments gets ${nothing.toFixed(1)} requests for each that a client sends`);
    world.check('three hops that each try three times multiply', nothing > 20, nothing);
    const budgets = await factor(world, { key, document: 'retries-budget.yaml', requests: 1_500 });
    world.narrator.say(`budgets, and the guard off: ${budgets.toFixed(2)}`);
    const guarded = await factor(world, { key, document: 'retries-guarded.yaml', requests: 1_500 });
    world.narrator.say(`budgets and the guard: ${guarded.toFixed(2)}`);
    world.check('with the guard an outage costs at most a quarter more', guarded <= 1.25, { budgets, guarded });
    world.check('budgets alone do less', budgets > guarded, { budgets, guarded });
    for (const name of instances) world.fleet.member(name).app?.write('fail 0');
    await world.remora(['apply', '-f', 'documents/mesh.yaml', '--wait', '-m', 'retries as they were']);
    await until({ label: 'the shop answers', look: () => askShop({ port: world.fleet.gatewayPort, path: '/cart/13', headers: { 'x-api-key': key } }), holds: ({ status }) => status === 200, timeoutMs: 20_000 });
  },
};

/** Requests that reach payments, for each that clients of the gateway send while it fails. */
async function factor(world: World, { key, document, requests }: { readonly key: string; readonly document: string; readonly requests: number }): Promise<number> {
  await world.remora(['apply', '-f', `documents/${document}`, '--wait', '-m', `retries: ${document}`]);
  const before = await reached(world);
  const traffic = startTraffic({ port: world.fleet.gatewayPort, path: '/cart/13', connections: 10, headers: { 'x-api-key': key }, classify: ({ status }) => (status === 503 ? 'unavailable' : null) });
  try {
    await traffic.more(requests, 60_000);
  } finally {
    await traffic.stop();
  }
  world.check(`${traffic.sent} clients are told that it is unavailable`, traffic.failures.length === 0, traffic.failures.slice(0, 3));
  return ((await reached(world)) - before) / traffic.sent;
}

/** Requests that the sidecars of payments have seen. */
async function reached(world: World): Promise<number> {
  const texts = await Promise.all(instances.map((name) => fetch(`http://127.0.0.1:${world.fleet.member(name).ports.admin}/metrics`, { signal: AbortSignal.timeout(10_000) }).then((answer) => answer.text())));
  return texts.join('\n').split('\n').filter((line) => line.startsWith('remora_requests_total{')).reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
