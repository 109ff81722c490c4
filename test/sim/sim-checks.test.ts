import { describe, expect, test } from 'vitest';
import { SimChecks } from './sim-checks.ts';

/** faults.md, simulator: active checks of hosts that do anything. The same variables as of the others. */
const first = Number(process.env['REMORA_SIM_SEED'] ?? 1);
const seeds = Number(process.env['REMORA_SIM_SEEDS'] ?? 200);

describe('simulator of active checks', () => {
  test(`${seeds} seeds from ${first}: everybody is asked in time and never twice at once, only rows of answers decide, and in the end all is as it is`, async () => {
    const failed: string[] = [];
    const sums = { asked: 0, changes: 0, unhealthy: 0, moves: 0 };
    for (let seed = first; seed < first + seeds; seed++) {
      const report = await new SimChecks(seed).run();
      if (report.violations.length > 0) failed.push(`seed ${seed} (REMORA_SIM_SEED=${seed} REMORA_SIM_SEEDS=1): ${report.violations.slice(0, 5).join('; ')}`);
      for (const name of ['asked', 'changes', 'unhealthy', 'moves'] as const) sums[name] += report[name];
    }
    expect(failed).toEqual([]);
    // A simulation in which little happens proves little.
    if (seeds < 5) return;
    for (const [name, least] of [['asked', 150], ['changes', 20], ['unhealthy', 100], ['moves', 40]] as const) expect(sums[name] / seeds, name).toBeGreaterThan(least);
  }, 120_000);

  test('a seed repeats', async () => {
    expect(await new SimChecks(first).run()).toEqual(await new SimChecks(first).run());
  });
});
