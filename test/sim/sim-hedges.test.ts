import { describe, expect, test } from 'vitest';
import { SimHedges } from './sim-hedges.ts';

/** faults.md, simulator: second tries of calls that take long. The same variables as of the others: so many seeds give every fourth of it here. */
const first = Number(process.env['REMORA_SIM_SEED'] ?? 1);
const seeds = Math.max(1, Math.floor(Number(process.env['REMORA_SIM_SEEDS'] ?? 200) / 4));

describe('simulator of second tries', () => {
  test(`${seeds} seeds from ${first}: one answer for each call, the good one where there is one, nobody works on for nothing, and the budget holds`, () => {
    const failed: string[] = [];
    const sums = { calls: 0, hedged: 0, won: 0 };
    for (let seed = first; seed < first + seeds; seed++) {
      const report = new SimHedges(seed).run();
      if (report.violations.length > 0) failed.push(`seed ${seed} (REMORA_SIM_SEED=${seed} REMORA_SIM_SEEDS=1): ${report.violations.slice(0, 5).join('; ')}`);
      for (const name of ['calls', 'hedged', 'won'] as const) sums[name] += report[name];
    }
    expect(failed).toEqual([]);
    // A simulation in which little happens proves little.
    if (seeds < 3) return;
    for (const [name, least] of [['calls', 500], ['hedged', 30], ['won', 15]] as const) expect(sums[name] / seeds, name).toBeGreaterThan(least);
  }, 120_000);

  test('a seed repeats', () => {
    expect(new SimHedges(first).run()).toEqual(new SimHedges(first).run());
  });
});
