import type { Bench, BenchRow } from './bench-document.ts';
import { describeMachine } from './machine.ts';
import { amplificationRows } from './resilience/amplification-rows.ts';
import { balancingRows } from './resilience/balancing-rows.ts';
import { choiceRows } from './resilience/choice-rows.ts';
import { overloadRows } from './resilience/overload-rows.ts';
import { fleetLimitRows } from './resilience/fleet-limit-rows.ts';

/** Groups of rows, one file each: add yours here. */
const groups: Readonly<Record<string, (options: ResilienceOptions) => Promise<readonly BenchRow[]>>> = {
  choice: choiceRows,
  balancing: balancingRows,
  'fleet-limits': fleetLimitRows,
  amplification: amplificationRows,
  overload: overloadRows,
};

export interface ResilienceOptions {
  /** Of the release's single files; else of the sources. */
  readonly bundled: boolean;
  /** How long each load is looked at. */
  readonly seconds: number;
}

/** What the caller's half costs and does. `--group A,B` runs only these; `--bundled no` runs the sources; `--seconds`. */
export const run: Bench = async ({ quick, flags }) => {
  const names = Object.keys(groups);
  const wanted = flags['group']?.split(',') ?? names;
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`no group ${unknown.join(', ')}; there are ${names.join(', ')}`);
  const options = { bundled: flags['bundled'] !== 'no', seconds: Number(flags['seconds'] ?? (quick ? 4 : 10)) };
  const rows: BenchRow[] = [];
  for (const name of wanted) rows.push(...(await (groups[name]?.(options) ?? [])));
  return { bench: 'resilience', machine: describeMachine(), rows };
};
