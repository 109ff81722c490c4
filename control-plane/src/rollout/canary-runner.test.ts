import { describe, expect, test } from 'vitest';
import { canaryYaml, CanaryWorld, ordersYaml } from './testdata/canary-world.ts';

const route = (name: string, more: string): string => `kind: Route\nname: ${name}\nservice: orders\n${more}\n`;
const split = 'to: [{labels: {version: v1}, weight: 3}, {labels: {version: v2}, weight: 1}]\nsticky: {header: X-Session}';
const failing = (world: CanaryWorld) => (): void => {
  world.report('v1', 200, 1);
  world.report('v2', 60, 6);
};

describe('a canary without Routes', () => {
  test('makes one, moves its weights step by step, and ends with everything at the candidate', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    expect(world.weights()).toBe('v1=95 v2=5');
    await world.pass(9, () => world.healthy());
    expect(world.weights()).toBe('v1=95 v2=5');
    await world.pass(1, () => world.healthy());
    expect(world.weights()).toBe('v1=75 v2=25');
    await world.pass(20, () => world.healthy());
    expect(world.weights()).toBe('v2=100');
    expect(world.run()).toMatchObject({ phase: 'completed', verdict: { end: 'completed' } });
    expect(world.steps()).toEqual([
      'step 1 of 3: 5 % to version=v2',
      'step 2 of 3: 25 % to version=v2; errors 0 % of 500, stable 0 % of 2000: within 1 % above',
      'completed, step 3 of 3: everything to version=v2; errors 0 % of 1000, stable 0 % of 4000: within 1 % above',
    ]);
    expect(world.alarms).toEqual([]);
  });

  test('whose gate fails reverts by itself at once, with the figures', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    await world.pass(2, failing(world));
    expect(world.weights()).toBe('v1=100');
    const sentence = 'errors 10 % of 120, stable 0.5 % of 400: more than 1 % above';
    expect(world.run()).toMatchObject({ phase: 'failed', verdict: { end: 'failed', sentence } });
    expect(world.steps().at(-1)).toBe(`failed, as before: ${sentence}`);
    expect(world.run()?.decisions.at(-1)).toMatchObject({ action: 'abort', because: 'gate-failed', weight: 5, candidate: { requests: 120, errors: 12 }, stable: { requests: 400 } });
  });
});

describe('a canary inside Routes', () => {
  test('moves the weights of those named, all at once, and sets them back as they were', async () => {
    const world = await CanaryWorld.start(`${ordersYaml}---\n${route('all', split)}---\n${route('some', 'match: {path: {prefix: /some}}')}---\n${route('none', 'match: {path: {prefix: /none}}\nto: [{labels: {version: v1}}]')}`);
    const before = new Map(world.store.documents());
    await world.apply(canaryYaml('routes: [all, some]\nsticky: {header: X-User-Id}\n'));
    expect([world.weights('all'), world.weights('some'), world.weights('none'), world.weights()]).toEqual(['v1=95 v2=5', 'v1=95 v2=5', 'v1=1', 'gone']);
    expect(world.store.documents().get('Route/all')?.document['sticky']).toEqual({ header: 'X-User-Id' });
    expect(world.history().at(-1)).toMatchObject({ author: 'canary/orders-v2', changes: [{ key: 'Route/all' }, { key: 'Route/some' }] });
    await world.pass(2, failing(world));
    for (const key of ['Route/all', 'Route/some', 'Route/none'] as const) expect(world.store.documents().get(key)?.document).toEqual(before.get(key)?.document);
  });

  test('leaves them with the candidate alone', async () => {
    const world = await CanaryWorld.start(`${ordersYaml}---\n${route('all', split)}`);
    await world.apply(canaryYaml('routes: [all]\n'));
    await world.pass(30, () => world.healthy());
    expect(world.store.documents().get('Route/all')?.document).toEqual({ kind: 'Route', name: 'all', service: 'orders', to: [{ labels: { version: 'v2' }, weight: 100 }] });
  });
});

describe('what people say', () => {
  test.each([
    ['promote', 'v1=75 v2=25', 'running'], ['pause', 'v1=95 v2=5', 'running'], ['abort', 'v1=100', 'aborted'],
  ] as const)('%s', async (kind, weights, phase) => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    world.controlPlane.canaries.order('orders-v2', kind === 'promote' ? { kind, now: false } : { kind }, 'ana');
    await world.controlPlane.canaries.look();
    expect([world.weights(), world.run()?.phase]).toEqual([weights, phase]);
    expect(world.run()?.decisions.some(({ by }) => by === 'ana')).toBe(true);
  });

  test.each([3_600_000, -3_600_000])('a clock that is set by %i ms neither ends a step nor prolongs it', async (byMs) => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    await world.pass(5, () => world.healthy());
    world.clock.stepWall(byMs);
    await world.pass(4, () => world.healthy());
    expect(world.weights()).toBe('v1=95 v2=5');
    await world.pass(1, () => world.healthy());
    expect(world.weights()).toBe('v1=75 v2=25');
  });

  test('a paused canary stays where it is, and goes on when it is resumed', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    world.controlPlane.canaries.order('orders-v2', { kind: 'pause' }, 'ana');
    await world.pass(60, () => world.healthy());
    expect(world.weights()).toBe('v1=95 v2=5');
    world.controlPlane.canaries.order('orders-v2', { kind: 'resume' }, 'ana');
    await world.pass(1, () => world.healthy());
    expect(world.weights()).toBe('v1=75 v2=25');
  });

  test('a paused canary whose gate fails reverts all the same', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    world.controlPlane.canaries.order('orders-v2', { kind: 'pause' }, 'ana');
    await world.pass(2, failing(world));
    expect(world.run()?.phase).toBe('failed');
  });

  test('a step with approval waits for it, and an early approval waits for the step', async () => {
    const approved = canaryYaml().replace('{weight: 25, for: 20s}', '{pause: approval}, {weight: 25, for: 20s}');
    for (const early of [true, false]) {
      const world = await CanaryWorld.start();
      await world.apply(approved);
      const approve = (): void => void world.controlPlane.canaries.order('orders-v2', { kind: 'promote', now: false }, 'ana');
      if (early) approve();
      await world.pass(9, () => world.healthy());
      expect(world.weights()).toBe('v1=95 v2=5');
      await world.pass(early ? 1 : 20, () => world.healthy());
      if (!early) {
        expect([world.weights(), world.run()?.decisions.at(-1)?.because]).toEqual(['v1=95 v2=5', 'approval']);
        approve();
        await world.pass(1, () => world.healthy());
      }
      expect([world.weights(), world.run()?.decisions.find(({ because }) => because === 'approved')]).toMatchObject(['v1=75 v2=25', { by: 'ana' }]);
    }
  });

  test('a process that does not do the work takes no orders', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    world.controlPlane.canaries.stop();
    expect(() => world.controlPlane.canaries.order('orders-v2', { kind: 'abort' }, 'ana')).toThrow('another control plane of this store runs the canaries');
  });

  test('what is over takes no orders', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    const { canaries } = world.controlPlane;
    expect(() => canaries.order('later', { kind: 'pause' }, 'ana')).toThrow(expect.objectContaining({ code: 'canary-not-begun' }));
    canaries.order('orders-v2', { kind: 'abort' }, 'ana');
    expect(() => canaries.order('orders-v2', { kind: 'pause' }, 'ana')).toThrow(expect.objectContaining({ code: 'canary-over' }));
    expect(() => canaries.order('orders-v2', { kind: 'pause' }, 'ana')).toThrow('Canary/orders-v2 is reverting: there is nothing to pause');
    await canaries.look();
    expect(() => canaries.order('orders-v2', { kind: 'promote', now: true }, 'ana')).toThrow('Canary/orders-v2 is aborted');
    expect(() => canaries.order('none', { kind: 'pause' }, 'ana')).toThrow('Canary/none has not begun: there is nothing to pause yet');
  });
});

describe('without figures', () => {
  test.each([
    ['of anybody', (): void => {}, 'missing-data'],
    ['of the candidate', (world: CanaryWorld): void => world.report('v1', 200), 'missing-data'],
    ['of stable', (world: CanaryWorld): void => world.report('v2', 200), 'missing-data'],
    ['enough', (world: CanaryWorld): void => { world.report('v1', 200); world.report('v2', 1, 1); }, 'too-few'],
  ] as const)('%s, it holds for ever', async (_who, report, because) => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    await world.pass(80, () => report(world));
    expect([world.weights(), world.run()?.decisions.at(-1)?.because]).toEqual(['v1=95 v2=5', because]);
  });

  test('enough, and told to abort then, it reverts when the time of the step is over', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml().replace('minRequests: 100', 'minRequests: 100, onTooFew: abort'));
    const few = (): void => { world.report('v1', 200); world.report('v2', 1); };
    await world.pass(9, few);
    expect(world.weights()).toBe('v1=95 v2=5');
    await world.pass(1, few);
    expect([world.weights(), world.run()?.verdict?.sentence]).toEqual(['v1=100', 'the candidate had 10 of 100 requests, and the time of the step is over']);
  });

  test('of late, it holds until there are some again', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    await world.pass(5, () => world.healthy());
    world.clock.advance(60_000);
    await world.pass(60);
    expect([world.weights(), world.run()?.decisions.at(-1)?.because]).toEqual(['v1=95 v2=5', 'missing-data']);
    await world.pass(1, () => world.healthy());
    expect(world.weights()).toBe('v1=75 v2=25');
  });
});

describe('what a running canary has', () => {
  const owned = (what: string): object => ({ code: 'owned-by-canary', message: expect.stringContaining(what), facts: { canary: 'orders-v2' } });

  test('is refused to everybody else by its name: changes, deletion, revert, going back', async () => {
    const world = await CanaryWorld.start(`${ordersYaml}---\n${route('all', split)}`);
    const first = world.store.head().index;
    await world.apply(route('all', 'priority: 3'));
    await world.apply(canaryYaml('routes: [all]\n'));
    const { writePath, store } = world.controlPlane;
    const mine = 'Route/all belongs to Canary/orders-v2, which is at step 1';
    await expect(world.apply(route('all', split))).rejects.toMatchObject(owned(mine));
    await expect(world.apply(route('all', split), { dryRun: true })).rejects.toMatchObject(owned(mine));
    await expect(world.delete('Canary/orders-v2', 'Route/all')).rejects.toMatchObject(owned(mine));
    const step = store.entries({ limit: 1 })[0];
    await expect(writePath.write({ intent: { kind: 'revert', entry: step as NonNullable<typeof step> }, author: 'ana', message: '' })).rejects.toMatchObject(owned(mine));
    await expect(writePath.write({ intent: { kind: 'restore-to', index: first, documents: store.documents({ epoch: store.head().epoch, index: first }) }, author: 'ana', message: '' })).rejects.toMatchObject(owned(mine));
    expect(world.weights('all')).toBe('v1=95 v2=5');
    expect((await world.apply(`${ordersYaml}labels: {tier: gold}\n`)).outcome).toBe('committed');
  });

  test('its own document may change its labels only; unchanged it may be applied', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    await expect(world.apply(canaryYaml().replace('for: 20s', 'for: 2s'))).rejects.toMatchObject(owned('Canary/orders-v2 is at step 1: what it says counts until it ends'));
    expect((await world.apply(canaryYaml().replace('for: 10s', 'for: 10000ms'))).outcome).toBe('unchanged');
    expect((await world.apply(canaryYaml('labels: {team: shop}\n'))).outcome).toBe('committed');
    expect(world.run()?.phase).toBe('running');
  });

  test('is free again when it ends, however it ends', async () => {
    const world = await CanaryWorld.start(`${ordersYaml}---\n${route('all', split)}`);
    await world.apply(canaryYaml('routes: [all]\n'));
    world.controlPlane.canaries.order('orders-v2', { kind: 'abort' }, 'ana');
    await world.controlPlane.canaries.look();
    expect((await world.apply(route('all', 'priority: 3'))).outcome).toBe('committed');
  });

  test('a name that it will need belongs to it before it is used', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    await expect(world.apply(route('orders-v2', 'priority: 3'))).rejects.toMatchObject(owned('Route/orders-v2'));
  });
});

describe('the document', () => {
  test('deleted while it runs: the weights go back by themselves, and nothing is left of it', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    await world.delete('Canary/orders-v2');
    expect([world.weights(), world.run()]).toEqual(['v1=100', null]);
    expect(world.steps().at(-1)).toBe('aborted, as before: its document was deleted');
  });

  test('deleted afterwards: its Routes stay as it left them', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    await world.pass(30, () => world.healthy());
    await world.delete('Canary/orders-v2');
    expect([world.weights(), world.run()]).toEqual(['v2=100', null]);
  });

  test('changed after its end runs again; with other labels it does not', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    world.controlPlane.canaries.order('orders-v2', { kind: 'abort' }, 'ana');
    await world.controlPlane.canaries.look();
    await world.apply(canaryYaml('labels: {team: shop}\n'));
    expect([world.weights(), world.run()?.phase]).toEqual(['v1=100', 'aborted']);
    await world.apply(canaryYaml().replace('weight: 5', 'weight: 6'));
    expect([world.weights(), world.run()?.phase]).toEqual(['v1=94 v2=6', 'running']);
  });

  test('goes on to the next version under the same name, with the Route that it made', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    await world.pass(30, () => world.healthy());
    await world.apply(canaryYaml().replace('version: v2', 'version: v3').replace('version: v1', 'version: v2'));
    expect([world.weights(), world.run()?.phase]).toEqual(['v2=95 v3=5', 'running']);
    world.controlPlane.canaries.order('orders-v2', { kind: 'abort' }, 'ana');
    await world.controlPlane.canaries.look();
    expect(world.weights()).toBe('v2=100');
  });

  test('that comes back by restore-to or a revert does not run', async () => {
    const world = await CanaryWorld.start();
    const { entry } = await world.apply(canaryYaml());
    world.controlPlane.canaries.order('orders-v2', { kind: 'abort' }, 'ana');
    await world.controlPlane.canaries.look();
    await world.delete('Canary/orders-v2');
    const { writePath, store, canaries } = world.controlPlane;
    await writePath.write({ intent: { kind: 'restore-to', index: entry?.version.index ?? 0, documents: store.documents(entry?.version) }, author: 'ana', message: '' });
    await canaries.look();
    expect([world.weights(), world.run()]).toMatchObject(['gone', { phase: 'aborted', verdict: { sentence: expect.stringContaining('it came back by a restore-to') } }]);
  });

  test.each<[string, string, string, string]>([
    ['a service of connections alone', ordersYaml.replace('protocol: http', 'protocol: tcp'), '', '/service never-applies'],
    ['a Route of its name', `${ordersYaml}---\n${route('orders-v2', 'match: {path: {prefix: /a}}')}`, '', '/routes contradiction'],
    ['a Route that takes everything', `${ordersYaml}---\n${route('all', '')}`, '', '/routes contradiction'],
    ['a Route that answers', `${ordersYaml}---\n${route('all', 'respond: {status: 200}')}`, 'routes: [all]\n', '/routes/0 contradiction'],
    ['a Route to a third version', `${ordersYaml}---\n${route('all', 'to: [{labels: {version: v1}}, {labels: {version: v3}}]')}`, 'routes: [all]\n', '/routes/0 contradiction'],
    ['a Route that has the candidate alone', `${ordersYaml}---\n${route('all', 'to: [{labels: {version: v2}}]')}`, 'routes: [all]\n', '/routes/0 contradiction'],
    ['another canary of the service', `${ordersYaml}---\n${canaryYaml().replace('name: orders-v2', 'name: other')}`, '', '/service contradiction'],
  ])('is refused where it could not run: %s', async (_what, before, more, expected) => {
    const world = await CanaryWorld.start(before);
    const refused = world.apply(canaryYaml(more));
    await expect(refused).rejects.toMatchObject({ code: 'documents-refused' });
    await refused.catch(({ violations }: { violations: readonly { pointer: string; code: string }[] }) => expect(violations.map(({ pointer, code }) => `${pointer} ${code}`)).toEqual([expected]));
  });

  test('two of one service in one write are refused', async () => {
    const world = await CanaryWorld.start();
    await expect(world.apply(`${canaryYaml()}---\n${canaryYaml().replace('name: orders-v2', 'name: other')}`)).rejects.toMatchObject({ violations: [{ document: 'Canary/other', message: expect.stringContaining('Canary/orders-v2') }] });
  });
});

describe('the control plane away', () => {
  test('the weights hold; who comes next goes on in the same step, with what was measured', async () => {
    const world = await CanaryWorld.start();
    await world.apply(canaryYaml());
    await world.pass(6, () => world.healthy());
    world.clock.advance(3_600_000);
    await world.restart();
    expect([world.weights(), world.run()?.step]).toEqual(['v1=95 v2=5', 0]);
    await world.pass(30);
    expect(world.weights()).toBe('v1=95 v2=5');
    await world.pass(1, () => world.healthy());
    expect(world.weights()).toBe('v1=75 v2=25');
    expect(world.steps().at(-1)).toMatch(/^step 2 of 3: 25 % to version=v2; errors 0 % of 1[05]0,/);
  });

  test('a write that is refused is told, and tried again', async () => {
    const world = await CanaryWorld.start();
    world.crash = () => { if (world.run() !== null) throw new Error('the disk is full'); };
    await world.apply(canaryYaml()).catch(() => {});
    world.crash = null;
    await world.pass(10, () => world.healthy());
    expect(world.weights()).toBe('v1=95 v2=5');
    expect(world.alarms.length).toBeGreaterThan(0);
  });
});
