import type { Bench, BenchRow } from './bench-document.ts';
import { describeMachine } from './machine.ts';
import { bodyScenarios } from './proxy/body-scenarios.ts';
import { http1Scenarios } from './proxy/http1-scenarios.ts';
import { steadyScenarios } from './proxy/steady-scenario.ts';
import { http2Scenarios } from './proxy/http2-scenarios.ts';
import { runScenario } from './proxy/run-scenario.ts';
import { tlsScenarios } from './proxy/tls-scenarios.ts';
import type { Scenario } from './proxy/scenario.ts';

const scenarios: readonly Scenario[] = [...http1Scenarios, ...bodyScenarios, ...steadyScenarios, ...http2Scenarios, ...tlsScenarios];

/** Proxying beside nginx, HAProxy, Envoy and fastify, interleaved, one core each. `--scenario A,B` runs only these; `--bundled no` runs the sources; `--rounds`, `--seconds`. */
export const run: Bench = async ({ quick, flags }) => {
  const wanted = flags['scenario']?.split(',') ?? scenarios.map(({ name }) => name);
  const unknown = wanted.filter((name) => !scenarios.some((scenario) => scenario.name === name));
  if (unknown.length > 0) throw new Error(`no scenario ${unknown.join(', ')}; there are ${scenarios.map(({ name }) => name).join(', ')}`);
  const rows: BenchRow[] = [];
  for (const scenario of scenarios.filter(({ name }) => wanted.includes(name))) {
    rows.push(...(await runScenario(scenario, { bundled: flags['bundled'] !== 'no', rounds: Number(flags['rounds'] ?? (quick ? 2 : 5)), seconds: Number(flags['seconds'] ?? (quick ? 3 : 5)) })));
  }
  return { bench: 'proxy', machine: describeMachine(), rows };
};
