import { describe, expect, test } from 'vitest';
import { Simulation } from './simulation.ts';

/** faults.md, simulator. REMORA_SIM_SEEDS: how many; REMORA_SIM_SEED: the first (or, with one seed, the one to repeat). */
const first = Number(process.env['REMORA_SIM_SEED'] ?? 1);
const seeds = Number(process.env['REMORA_SIM_SEEDS'] ?? 200);

describe('simulator', () => {
  test(`${seeds} seeds from ${first}: nothing uncommitted is enforced, nothing held that is for somebody else, versions never go back, everybody converges`, async () => {
    const failed: string[] = [];
    let enforcements = 0;
    let crashes = 0;
    let itemChanges = 0;
    let itemRemovals = 0;
    let orders = 0;
    for (let seed = first; seed < first + seeds; seed++) {
      const report = await new Simulation(seed).run();
      enforcements += report.enforcements;
      crashes += report.crashes;
      itemChanges += report.itemChanges;
      itemRemovals += report.itemRemovals;
      orders += report.orders;
      if (report.violations.length > 0) failed.push(`seed ${seed} (REMORA_SIM_SEED=${seed} REMORA_SIM_SEEDS=1): ${report.violations.slice(0, 5).join('; ')}`);
      expect(report.accepted, `seed ${seed} wrote nothing`).toBeGreaterThan(0);
    }
    expect(failed).toEqual([]);
    // A simulation in which little happens proves little.
    expect(enforcements / seeds).toBeGreaterThan(20);
    expect(crashes / seeds).toBeGreaterThan(2);
    expect(itemChanges / seeds).toBeGreaterThan(40);
    expect(itemRemovals / seeds).toBeGreaterThan(3);
    expect(orders / seeds).toBeGreaterThan(20);
  }, 900_000);

  test('a seed repeats', async () => {
    const [one, two] = [await new Simulation(first).run(), await new Simulation(first).run()];
    expect(two).toEqual(one);
  }, 60_000);
});
