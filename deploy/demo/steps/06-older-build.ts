import { askShop } from '../gateway-client.ts';
import { readSidecars, untilInSync } from '../sidecar-status.ts';
import { until } from '../until.ts';
import type { Step, World } from '../world.ts';

export const olderBuild: Step = {
  title: 'a sidecar of an older build refuses a policy that it does not know, alone; a revert brings all back; a guard protects the last Route',
  timeoutMs: 90_000,
  async run(world) {
    const applied = await world.remora(['apply', '-f', 'documents/payments-fault.yaml', '--wait', '-m', 'what if payments fail?'], { exitCode: 4, author: 'cleo' });
    const revision = Number(/revision (\d+)/.exec(applied.out)?.[1]);
    world.check('the answer names payments-2, the kind and the policy', ['payments-2', 'fault', 'payments-fail'].every((part) => applied.out.includes(part)), applied.out);
    await until({
      label: 'every sidecar concerned has answered',
      look: () => world.api<{ readonly done: boolean }>(`/v1/revisions/${revision}/enforcement`),
      holds: ({ done }) => done,
      timeoutMs: 10_000,
      processes: [world.fleet.member('payments-1').sidecar],
    });
    await seenEverywhere(world, revision);
    await servedAsBefore(world);
    await world.remora(['revert', String(revision), '--wait', '-m', 'enough of that'], { author: 'cleo' });
    await untilInSync(world, 15_000);
    world.check('after the revert payments-1 serves again', (await askPayments(world, 'payments-1')) === 200, 'another status');
    await lastRoute(world);
  },
};

async function seenEverywhere(world: World, revision: number): Promise<void> {
  const onRevision = await world.remora(['history', String(revision)]);
  world.check('the refusal is seen on the revision, and that the other sidecar enforces it', onRevision.out.includes('payments-2') && onRevision.out.includes('enforced by 1 of 2') && onRevision.out.includes('refused'), onRevision.out);
  const onSidecar = await world.remora(['sidecars', 'payments-2']);
  world.check('… on the sidecar', onSidecar.out.includes(`refused revision ${revision}`), onSidecar.out);
  const onPolicy = await world.remora(['get', 'policy/payments-fail', '--status']);
  world.check('… and on the policy', onPolicy.out.includes('payments-2'), onPolicy.out);
}

async function servedAsBefore(world: World): Promise<void> {
  const { narrator } = world;
  const [newer, older] = [await askPayments(world, 'payments-1'), await askPayments(world, 'payments-2')];
  narrator.say(`GET to the inbound side of payments-1: ${newer}; of payments-2: ${older}`);
  world.check('payments-1 enforces the fault (418), payments-2 serves what it had (200)', newer === 418 && older === 200, { newer, older });
  const phases = (await readSidecars(world)).filter((one) => one.phase !== 'in-sync').map((one) => `${one.nodeId} ${one.phase}`);
  world.check('only payments-2 is not in sync', phases.join() === 'payments-2 refused', phases);
}

async function askPayments(world: World, nodeId: string): Promise<number> {
  return (await askShop({ port: world.fleet.member(nodeId).ports.inbound, path: '/payments', headers: { host: 'payments' } })).status;
}

async function lastRoute(world: World): Promise<void> {
  const refused = await world.remora(['delete', 'route/shop'], { exitCode: 1, process: true });
  world.check('removing the last Route of the gateway is refused by a guard, by name', refused.err.includes('guard') && refused.err.includes('edge'), refused.err);
  world.check('the gateway goes on', (await world.shop('/cart/6')).status === 200, 'another status');
}
