import type { Bench, BenchRow } from './bench-document.ts';
import { clientRows } from './identity/client-rows.ts';
import { firstSightRows } from './identity/first-sight-rows.ts';
import { fleetRows } from './identity/fleet-rows.ts';
import { meshScenarios } from './identity/mesh-scenarios.ts';
import { sessionRow } from './identity/session-row.ts';
import { signingRow } from './identity/signing-row.ts';
import { describeMachine } from './machine.ts';
import { runScenario } from './proxy/run-scenario.ts';

/** What identity costs: certificates, a fleet that connects and rolls (`fleet`), kinds that know clients (`clients`), sessions of browsers (`sessions`), tokens that are new (`first-sight`), mTLS in the mesh. `--scenario A,B` runs only these; `--bundled no` runs the sources; `--rounds`, `--seconds`. */
export const run: Bench = async ({ quick, flags }) => {
  const names = ['signing', 'fleet', 'clients', 'sessions', 'first-sight', ...meshScenarios.map(({ name }) => name)];
  const wanted = flags['scenario']?.split(',') ?? names;
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`no scenario ${unknown.join(', ')}; there are ${names.join(', ')}`);
  const rows: BenchRow[] = [];
  if (wanted.includes('signing')) rows.push(await signingRow(quick ? 500 : 2_000));
  if (wanted.includes('fleet')) rows.push(...(await fleetRows({ sidecars: Number(flags['sidecars'] ?? 1_000), bundled: flags['bundled'] !== 'no', windowSeconds: quick ? 10 : 20 })));
  const load = { bundled: flags['bundled'] !== 'no', rounds: Number(flags['rounds'] ?? (quick ? 2 : 5)), seconds: Number(flags['seconds'] ?? (quick ? 3 : 5)) };
  if (wanted.includes('clients')) rows.push(...(await clientRows(load)));
  if (wanted.includes('sessions')) rows.push(await sessionRow(load));
  if (wanted.includes('first-sight')) rows.push(...(await firstSightRows(load)));
  for (const scenario of meshScenarios.filter(({ name }) => wanted.includes(name))) {
    rows.push(...(await runScenario(scenario, load)));
  }
  return { bench: 'identity', machine: describeMachine(), rows };
};
