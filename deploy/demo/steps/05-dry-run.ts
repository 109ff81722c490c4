import { readPushFigures } from '../push-figures.ts';
import { readSidecars } from '../sidecar-status.ts';
import type { Step, World } from '../world.ts';

export const dryRun: Step = {
  title: '--dry-run shows the difference in meaning and who would be touched; an edit that means the same pushes zero bytes',
  timeoutMs: 60_000,
  async run(world) {
    const hashes = await appliedHashes(world);
    const dry = await world.remora(['apply', '-f', 'documents/orders-header.yaml', '--dry-run']);
    world.check('it would touch the two sidecars of orders and no other', /would change 2 sidecars: orders-1, orders-2/.test(dry.out), dry.out);
    world.check('no sidecar changed', (await appliedHashes(world)) === hashes, await appliedHashes(world));
    const plan = /plan ([0-9a-f]{32})/.exec(dry.out)?.[1] ?? '';
    await world.remora(['apply', '-f', 'documents/orders-header.yaml', '--plan', plan, '--wait']);
    await noOperation(world);
  },
};

async function noOperation(world: World): Promise<void> {
  const before = await readPushFigures(world);
  const same = await world.remora(['apply', '-f', 'documents/same-meaning.yaml', '--wait']);
  const labelled = await world.remora(['apply', '-f', 'documents/labelled.yaml', '--wait']);
  const after = await readPushFigures(world);
  world.check('5000ms instead of 5s makes no revision', same.out.includes('no revision'), same.out);
  world.check('a label on a policy makes a revision that concerns no sidecar', /revision \d+ concerns no connected sidecar/.test(labelled.out), labelled.out);
  world.check('neither pushed a byte of configuration', after.configBytes === before.configBytes && after.configMessages === before.configMessages, { before, after });
}

async function appliedHashes(world: World): Promise<string> {
  return (await readSidecars(world)).map((one) => `${one.nodeId} ${one.config.appliedHash}`).sort().join('\n');
}
