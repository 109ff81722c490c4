import type { Bench, BenchRow, BenchTable } from './bench-document.ts';
import { describeMachine } from './machine.ts';
import { amplificationRows } from './resilience/amplification-rows.ts';
import { balancingRows } from './resilience/balancing-rows.ts';
import { choiceRows } from './resilience/choice-rows.ts';
import { fleetLimitRows } from './resilience/fleet-limit-rows.ts';
import { layerRows } from './resilience/layer-rows.ts';
import { outageRows } from './resilience/outage-rows.ts';
import { overloadRows } from './resilience/overload-rows.ts';
import { storeWayRows } from './resilience/store-way-rows.ts';

interface Group {
  readonly why: string;
  readonly run: (options: ResilienceOptions) => Promise<readonly BenchRow[] | { readonly rows: readonly BenchRow[]; readonly tables: readonly BenchTable[] }>;
}

/** Groups of rows, one file each: add yours here. */
const groups: Readonly<Record<string, Group>> = {
  choice: { why: 'what a choice of a host costs, and how many keys move when a host of a ring goes', run: choiceRows },
  balancing: { why: 'one host of ten is ten times slower', run: balancingRows },
  'fleet-limits': { why: 'limits over four gateways that count in one Redis (needs redis-server, h2load)', run: fleetLimitRows },
  'store-ways': { why: 'a round trip to Redis over the control thread, and over a connection of each data thread (needs redis-server)', run: storeWayRows },
  amplification: { why: 'three hops that retry, a total outage of the last', run: amplificationRows },
  overload: { why: 'three times what an app can do, with concurrency', run: overloadRows },
  outage: { why: 'one host of ten answers 503, hangs, is gone, is a black hole; Envoy beside it (80 s)', run: outageRows },
  layers: { why: 'CPU of a request with all layers of the caller on, off, and each alone (needs nginx, wrk)', run: layerRows },
};

export interface ResilienceOptions {
  /** Of the release's single files; else of the sources. */
  readonly bundled: boolean;
  /** How long each load is looked at. */
  readonly seconds: number;
  /** Of `outage`: requests to each way through each proxy. */
  readonly perSecond: number;
  /** Of `outage`: these alone; null: all. */
  readonly scenarios: readonly string[] | null;
}

export const help = [
  '  --group A,B: only these of', ...Object.entries(groups).map(([name, { why }]) => `      ${name.padEnd(14)}${why}`),
  '  --bundled no: the sources instead of dist/ (npm run bundle)', '  --seconds N: how long each load is looked at (10; 4 with --quick)',
  '  --scenario errors,hangs,gone,black-hole: only these outages', '  --rate N: requests a second to each way of each proxy in an outage (500)',
].join('\n');

/** What the caller's half costs and does. `--group A,B` runs only these; `--bundled no` runs the sources; `--seconds`. */
export const run: Bench = async ({ quick, flags }) => {
  const names = Object.keys(groups);
  const wanted = flags['group']?.split(',') ?? names;
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`no group ${unknown.join(', ')}; there are ${names.join(', ')}`);
  const options = { bundled: flags['bundled'] !== 'no', seconds: Number(flags['seconds'] ?? (quick ? 4 : 10)), perSecond: Number(flags['rate'] ?? 500), scenarios: flags['scenario']?.split(',') ?? null };
  const rows: BenchRow[] = [];
  const tables: BenchTable[] = [];
  for (const name of wanted) {
    const found = await groups[name]?.run(options) ?? [];
    const part = 'rows' in found ? found : { rows: found, tables: [] };
    rows.push(...part.rows);
    tables.push(...part.tables);
  }
  return { bench: 'resilience', machine: describeMachine(), rows, tables };
};
