import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CanaryOrder } from './canary-runner.ts';
import { canaryYaml, CanaryWorld, ordersYaml } from './testdata/canary-world.ts';

type Second = 'healthy' | 'failing' | 'few' | 'silent' | 'half' | 'promote' | 'promote-now' | 'pause' | 'resume' | 'abort' | 'delete' | 'restart';

const routeYaml = 'kind: Route\nname: all\nservice: orders\nto: [{labels: {version: v1}, weight: 9}, {labels: {version: v2}, weight: 1}]\n';
const yaml = canaryYaml('routes: [all]\n').replace('{weight: 25, for: 20s}', '{weight: 25, for: 3s}, {pause: approval}, {weight: 50, for: 2s}').replace('for: 10s', 'for: 3s');
const declared = ['v1=95 v2=5', 'v1=75 v2=25', 'v1=50 v2=50', 'v2=100'];
const original = 'v1=9 v2=1';

function report(world: CanaryWorld, what: Second): void {
  if (what === 'healthy') for (const version of ['v1', 'v2']) world.report(version, 120);
  if (what === 'failing') for (const version of ['v1', 'v2']) world.report(version, 120, version === 'v2' ? 60 : 0);
  if (what === 'few') for (const version of ['v1', 'v2']) world.report(version, 1);
  if (what === 'half') world.report('v2', 120);
}

async function live(world: CanaryWorld, second: Second): Promise<void> {
  if (second === 'restart') return world.restart();
  if (second === 'delete') return world.store.documents().has('Canary/orders-v2') ? world.delete('Canary/orders-v2') : undefined;
  const order = orders[second];
  if (order === undefined) return world.pass(1, () => report(world, second));
  if (world.run()?.phase !== 'running') return;
  world.controlPlane.canaries.order('orders-v2', order, 'ana');
  await world.controlPlane.canaries.look();
}

const orders: Partial<Record<Second, CanaryOrder>> = {
  promote: { kind: 'promote', now: false }, 'promote-now': { kind: 'promote', now: true }, pause: { kind: 'pause' }, resume: { kind: 'resume' }, abort: { kind: 'abort' },
};

const anySecond = fc.constantFrom<Second>('healthy', 'healthy', 'healthy', 'healthy', 'failing', 'few', 'silent', 'half', 'promote', 'promote-now', 'pause', 'resume', 'abort', 'delete', 'restart');

test('whatever happens: no advance without figures or an order, only declared weights, and what ends badly leaves what was there', async () => {
  await fc.assert(fc.asyncProperty(fc.array(anySecond, { maxLength: 25 }), async (seconds) => {
    const world = await CanaryWorld.start(`${ordersYaml}---\n${routeYaml}`);
    await world.apply(yaml);
    let reached = 0;
    for (const second of seconds) {
      await live(world, second);
      const run = world.run();
      const weights = world.weights('all');
      if (run === null || run.phase === 'aborted' || run.phase === 'failed') expect([weights === original, weights === 'v2=100' && run === null]).toContain(true);
      else expect(weights).toBe(run.phase === 'completed' ? 'v2=100' : declared[run.step]);
      const place = declared.indexOf(weights);
      if (place > reached + 1) expect(second).toBe('never two steps in one second');
      reached = Math.max(reached, place);
      for (const { action, because, candidate, stable } of run?.decisions ?? []) {
        if (action !== 'advance' || because === 'started' || because === 'promoted') continue;
        expect(Math.min(candidate?.requests ?? 0, stable?.requests ?? 0), because).toBeGreaterThanOrEqual(100);
        expect(candidate?.errors).toBe(0);
      }
    }
    await world.controlPlane.stop();
  }), { numRuns: 40 });
}, 300_000);

test('a process that ends before or after any write, and another one that goes on: the same history as without', async () => {
  const script: Second[] = ['healthy', 'healthy', 'healthy', 'healthy', 'healthy', 'healthy', 'promote', 'healthy', 'healthy', 'healthy', 'healthy', 'healthy', 'healthy'];
  const ends: readonly Second[][] = [[], ['abort'], ['failing', 'failing']];
  for (const end of ends) {
    const seconds = end.length === 0 ? script : [...script.slice(0, 5), ...end, 'healthy'] as Second[];
    const whole = await told(seconds, null);
    expect(whole.writes).toBeGreaterThan(5);
    for (let nth = 1; nth <= whole.writes; nth++) expect((await told(seconds, nth)).history, `${end.join(' ')}, ended at ${nth} of ${whole.writes}`).toEqual(whole.history);
  }
}, 300_000);

/** What the canary wrote in a life that ends at the n-th moment before or after a write, and goes on in another process. What a person asked for and got no answer to is asked again. */
async function told(seconds: readonly Second[], endsAt: number | null): Promise<{ readonly history: readonly unknown[]; readonly writes: number }> {
  const world = await CanaryWorld.start(`${ordersYaml}---\n${routeYaml}`);
  let writes = 0;
  let over = false;
  world.crash = () => {
    writes += 1;
    if (writes === endsAt) over = true;
    if (over) throw new Error('the process is over');
  };
  const reborn = async (): Promise<void> => {
    if (!over) return;
    over = false;
    await world.restart();
  };
  const withDocument = async (): Promise<void> => {
    await world.apply(yaml).catch(() => {});
    const lost = over;
    await reborn();
    if (lost) await world.apply(yaml);
  };
  await withDocument();
  for (const second of seconds) {
    await live(world, second).catch(() => {});
    const lost = over;
    await reborn();
    if (lost) await live(world, second);
  }
  // Time that a crash took from steps is given back.
  for (let n = 0; n < 8; n++) await live(world, 'healthy');
  const counted = writes;
  await world.controlPlane.stop().catch(() => {});
  return { history: world.history().filter(({ author }) => author.startsWith('canary/')).map(({ changes, message }) => [message.split(/[;:]/, 1)[0], changes.map(({ key, after }) => [key, after])]), writes: counted };
}
