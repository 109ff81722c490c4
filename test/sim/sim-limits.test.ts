import { describe, expect, test } from 'vitest';
import { limitWorlds, SimLimits } from './sim-limits.ts';

/** faults.md, simulator: limits of the fleet, in worlds of their own. The same variables as of the others: so many seeds give every fourth of it here. */
const first = Number(process.env['REMORA_SIM_SEED'] ?? 1);
const seeds = Math.max(1, Math.floor(Number(process.env['REMORA_SIM_SEEDS'] ?? 200) / 4));

describe('simulator of limits of the fleet', () => {
  test(`${seeds} seeds from ${first}: never more than the limit and the leases that are out, and nothing lost for good`, () => {
    const failed: string[] = [];
    const sums = { admitted: 0, refused: 0, crashes: 0, lost: 0 };
    for (let seed = first; seed < first + seeds; seed++) {
      const report = new SimLimits(seed).run();
      if (report.violations.length > 0) failed.push(`seed ${seed} (REMORA_SIM_SEED=${seed} REMORA_SIM_SEEDS=1): ${report.violations.slice(0, 5).join('; ')}`);
      for (const name of ['admitted', 'refused', 'crashes', 'lost'] as const) sums[name] += report[name];
    }
    expect(failed).toEqual([]);
    // A simulation in which little happens proves little.
    if (seeds < limitWorlds) return;
    for (const [name, least] of [['admitted', 500], ['refused', 500], ['crashes', 3], ['lost', 5]] as const) expect(sums[name] / seeds, name).toBeGreaterThan(least);
  }, 120_000);

  test('a seed repeats', () => {
    expect(new SimLimits(first).run()).toEqual(new SimLimits(first).run());
  });
});
