import type { Bench, BenchRow } from './bench-document.ts';
import { meshScenarios } from './identity/mesh-scenarios.ts';
import { describeMachine } from './machine.ts';
import { runScenario } from './proxy/run-scenario.ts';

/** What identity costs. `--scenario A,B` runs only these; `--bundled no` runs the sources; `--rounds`, `--seconds`. */
export const run: Bench = async ({ quick, flags }) => {
  const wanted = flags['scenario']?.split(',') ?? meshScenarios.map(({ name }) => name);
  const unknown = wanted.filter((name) => !meshScenarios.some((scenario) => scenario.name === name));
  if (unknown.length > 0) throw new Error(`no scenario ${unknown.join(', ')}; there are ${meshScenarios.map(({ name }) => name).join(', ')}`);
  const rows: BenchRow[] = [];
  for (const scenario of meshScenarios.filter(({ name }) => wanted.includes(name))) {
    rows.push(...(await runScenario(scenario, { bundled: flags['bundled'] !== 'no', rounds: Number(flags['rounds'] ?? (quick ? 2 : 5)), seconds: Number(flags['seconds'] ?? (quick ? 3 : 5)) })));
  }
  return { bench: 'identity', machine: describeMachine(), rows };
};
