import { describe, expect, test } from 'vitest';
import { canaryYaml, CanaryWorld } from './testdata/canary-world.ts';

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
    await world.pass(2, () => {
      world.report('v1', 200, 1);
      world.report('v2', 60, 6);
    });
    expect(world.weights()).toBe('gone');
    expect(world.run()).toMatchObject({ phase: 'failed', verdict: { end: 'failed', sentence: 'errors 10 % of 120, stable 0.5 % of 400: more than 1 % above' } });
    expect(world.steps().at(-1)).toBe('failed, as before: errors 10 % of 120, stable 0.5 % of 400: more than 1 % above');
    expect(world.run()?.decisions.at(-1)).toMatchObject({ action: 'abort', because: 'gate-failed', weight: 5, candidate: { requests: 120, errors: 12 }, stable: { requests: 400 } });
  });
});
