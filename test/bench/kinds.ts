import { readdirSync } from 'node:fs';
import path from 'node:path';
import type { Bench, BenchRow } from './bench-document.ts';
import { describeMachine } from './machine.ts';

interface KindBench {
  readonly bench: () => { readonly kind: string; readonly nsPerRequest: number } | Promise<{ readonly kind: string; readonly nsPerRequest: number }>;
}

/** What each policy kind costs per request, switched on alone. Listed, without a bar. */
export const run: Bench = async () => {
  const policies = path.resolve(import.meta.dirname, '../../libs/policies');
  const files = readdirSync(policies).flatMap((folder) => readdirSync(path.join(policies, folder)).filter((file) => file.endsWith('.bench.ts')).map((file) => path.join(policies, folder, file)));
  if (files.length === 0) throw new Error('no *.bench.ts under libs/policies');
  const rows: BenchRow[] = [];
  for (const file of files) {
    const { kind, nsPerRequest } = await ((await import(file)) as KindBench).bench();
    rows.push({ what: kind, value: Math.round(nsPerRequest), unit: 'ns', bar: '', ok: null });
  }
  return { bench: 'kinds', machine: describeMachine(), rows };
};
