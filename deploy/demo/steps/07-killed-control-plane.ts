import { askShop } from '../gateway-client.ts';
import { readPushFigures } from '../push-figures.ts';
import { readSidecars, untilInSync } from '../sidecar-status.ts';
import { hopsOf } from '../shop-answer.ts';
import { startTraffic } from '../traffic.ts';
import type { Traffic } from '../traffic.ts';
import { until } from '../until.ts';
import type { Step, World } from '../world.ts';

export const killedControlPlane: Step = {
  title: 'the control plane is killed: traffic goes on; a sidecar restarts from its disk meanwhile; the control plane returns',
  timeoutMs: 180_000,
  async run(world) {
    const traffic = startTraffic({ port: world.fleet.gatewayPort, path: '/', connections: 4 });
    try {
      await traffic.more(50, 20_000);
      world.narrator.say(`$ kill -9 ${world.fleet.controlPlane.pid}    # the control plane`);
      await world.fleet.controlPlane.stop('SIGKILL', 5_000);
      await traffic.more(500, 30_000);
      world.check('500 requests later none has failed', traffic.failures.length === 0, traffic.failures.slice(0, 3));
      await restartSidecar(world, traffic);
      await controlPlaneReturns(world);
      await traffic.more(100, 20_000);
    } finally {
      await traffic.stop();
    }
  },
};

async function restartSidecar(world: World, traffic: Traffic): Promise<void> {
  const { fleet, narrator } = world;
  const killedAt = Date.now();
  narrator.say(`$ kill -9 ${fleet.member('orders-2').sidecar.pid}    # the sidecar orders-2`);
  await fleet.member('orders-2').sidecar.stop('SIGKILL', 5_000);
  const goneAt = Date.now();
  const startedAt = performance.now();
  await fleet.restartSidecar('orders-2');
  const { inbound } = fleet.member('orders-2').ports;
  await until({ label: 'orders-2 answers again', look: async () => (await askShop({ port: inbound, path: '/orders/7', headers: { host: 'orders' } })).status, holds: (status) => status === 200, timeoutMs: 15_000, processes: [fleet.member('orders-2').sidecar] });
  narrator.say(`orders-2 is back on its ports and answered after ${(performance.now() - startedAt).toFixed(0)} ms, from its disk`);
  await untilChosenAgain(world);
  const status = await world.admin<{ readonly staleSince?: string | null }>('orders-2', '/status');
  world.check('it says since when it is stale', typeof status.staleSince === 'string', status);
  narrator.say(`orders-2 is stale since ${status.staleSince}`);
  const inFlight = traffic.failures.filter((one) => one.startedAt <= goneAt && one.endedAt >= killedAt);
  narrator.say(`in flight in orders-2 when it was killed, and lost: ${inFlight.length}`);
  const others = traffic.failures.filter((one) => !inFlight.includes(one));
  world.check('no other request failed', others.length === 0, others.slice(0, 3));
}

/** Where it was gone for more than a moment its callers have left it out, for 30 s (outlierDetection, consecutiveLocalFailures). */
const leftOutMs = 30_000;

/** Callers found it down; they come back to it without being told. */
async function untilChosenAgain(world: World): Promise<void> {
  await until({
    label: 'a page that passes orders-2',
    look: async () => hopsOf((await askShop({ port: world.fleet.gatewayPort, path: '/cart/7' })).text),
    holds: (hops) => hops.includes('orders v2'),
    timeoutMs: leftOutMs + 20_000,
  });
}

async function controlPlaneReturns(world: World): Promise<void> {
  const { fleet, narrator } = world;
  const startedAt = performance.now();
  await fleet.startControlPlane();
  const all = await untilInSync(world, 60_000);
  narrator.say(`the control plane is back; ${all.length} of ${fleet.members.length} in sync after ${(performance.now() - startedAt).toFixed(0)} ms`);
  await world.remora(['sidecars']);
  const figures = await readPushFigures(world);
  const each = figures.configBytes / all.length;
  narrator.say(`configuration sent to ${all.length} sidecars: ${figures.configMessages} messages, ${figures.configBytes} bytes`);
  world.check('an unchanged sidecar cost one small message', figures.configMessages <= all.length && each <= 300, figures);
  world.check('nobody is stale any more', (await readSidecars(world)).every((one) => one.staleSince === null), await readSidecars(world));
}
