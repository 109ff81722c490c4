import { describe, expect, test } from 'vitest';
import { Simulation, type SimulationReport } from './simulation.ts';

/** faults.md, simulator. REMORA_SIM_SEEDS: how many; REMORA_SIM_SEED: the first (or, with one seed, the one to repeat). */
const first = Number(process.env['REMORA_SIM_SEED'] ?? 1);
const seeds = Number(process.env['REMORA_SIM_SEEDS'] ?? 200);

/** Of each seed on average. */
const enough: readonly (readonly [keyof SimulationReport, number])[] = [
  ['enforcements', 20], ['crashes', 2], ['itemChanges', 40], ['itemRemovals', 3], ['orders', 20], ['lies', 20], ['doubted', 5], ['departures', 5],
  ['calls', 1_000], ['ejections', 10], ['breakerRefusals', 50], ['retries', 20],
  ['canaryMoves', 2], ['canaryEnds', 0.4],
];

describe('simulator', () => {
  test(`${seeds} seeds from ${first}: nothing uncommitted is enforced, nothing held that is for somebody else, versions never go back, everybody converges`, async () => {
    const failed: string[] = [];
    const sums = new Map<string, number>();
    const perSeed = (name: keyof SimulationReport): number => (sums.get(name) ?? 0) / seeds;
    for (let seed = first; seed < first + seeds; seed++) {
      const report = await new Simulation(seed).run();
      for (const [name, value] of Object.entries(report)) if (typeof value === 'number') sums.set(name, (sums.get(name) ?? 0) + value);
      if (report.violations.length > 0) failed.push(`seed ${seed} (REMORA_SIM_SEED=${seed} REMORA_SIM_SEEDS=1): ${report.violations.slice(0, 5).join('; ')}`);
      expect(report.accepted, `seed ${seed} wrote nothing`).toBeGreaterThan(0);
    }
    expect(failed).toEqual([]);
    // A simulation in which little happens proves little.
    const little = enough.filter(([name, least]) => perSeed(name) <= least).map(([name, least]) => `${name}: ${perSeed(name)} of more than ${least}`);
    expect(little).toEqual([]);
  }, 900_000);

  test('a seed repeats', async () => {
    const [one, two] = [await new Simulation(first).run(), await new Simulation(first).run()];
    expect(two).toEqual(one);
  }, 60_000);
});
