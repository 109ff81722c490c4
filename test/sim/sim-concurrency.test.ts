import { describe, expect, test } from 'vitest';
import { SimConcurrency } from './sim-concurrency.ts';

/** faults.md, simulator: a limit that is found while the service is ill. The same variables as of the others: so many seeds give every tenth of it here. */
const first = Number(process.env['REMORA_SIM_SEED'] ?? 1);
const seeds = Math.max(1, Math.floor(Number(process.env['REMORA_SIM_SEEDS'] ?? 200) / 10));

describe('simulator of limits on concurrency', () => {
  test(`${seeds} seeds from ${first}: the limit stays in its bounds, sheds only what is beyond it, and strangles nobody who has recovered`, () => {
    const failed: string[] = [];
    const sums = { admitted: 0, shed: 0, timedOut: 0 };
    for (let seed = first; seed < first + seeds; seed++) {
      const report = new SimConcurrency(seed).run();
      if (report.violations.length > 0) failed.push(`seed ${seed} (REMORA_SIM_SEED=${seed} REMORA_SIM_SEEDS=1): ${report.violations.slice(0, 5).join('; ')}`);
      for (const name of ['admitted', 'shed', 'timedOut'] as const) sums[name] += report[name];
    }
    expect(failed).toEqual([]);
    // A simulation in which little happens proves little.
    if (seeds < 5) return;
    for (const [name, least] of [['admitted', 2_000], ['shed', 500], ['timedOut', 10]] as const) expect(sums[name] / seeds, name).toBeGreaterThan(least);
  }, 120_000);

  test('a seed repeats', () => {
    expect(new SimConcurrency(first).run()).toEqual(new SimConcurrency(first).run());
  });
});
