import type { BenchRow, BenchTable } from '../bench-document.ts';
import { startFreezingHost, startHost, type Outage, type ScriptedHost } from './outage-hosts.ts';
import { outageFigures, type OutageFigures, type OutageTimes } from './outage-figures.ts';
import { startOpenLoad, type OpenLoad } from './outage-load.ts';
import { modes, type HostPorts, type Mode } from './outage-modes.ts';
import { startOutageEnvoy, startOutageRemora, type OutageProxy } from './outage-proxies.ts';

const hostCount = 10;
const answerMs = 20;
/** The level of before, how long an instance is ill, and how long its return is waited for at most. */
const beforeMs = 2_000;
const illMs = 3_000;
const backMs = 9_000;
/** Longer than the limit of 15 s on a request. */
const illOfDefaultsMs = 18_000;

interface Scenario {
  readonly name: string;
  readonly outage: Outage;
  readonly modes: readonly Mode[];
  readonly illMs: number;
}

const limited: readonly Mode[] = ['plain', 'retries'];
const scenarios: readonly Scenario[] = [
  { name: 'answers 503', outage: 'errors', modes: limited, illMs },
  { name: 'hangs', outage: 'hangs', modes: limited, illMs },
  { name: 'is gone', outage: 'gone', modes: limited, illMs },
  { name: 'black hole', outage: 'black-hole', modes: limited, illMs },
  { name: 'hangs, defaults', outage: 'hangs', modes: ['defaults'], illMs: illOfDefaultsMs },
];

/** Ten instances of each mode behind one proxy: its own, so that what one proxy does to them is nothing to the other. */
interface Contestant {
  readonly proxy: OutageProxy;
  readonly hosts: Readonly<Record<Mode, readonly ScriptedHost[]>>;
}

interface Result {
  readonly scenario: Scenario;
  readonly mode: Mode;
  readonly proxy: string;
  readonly figures: OutageFigures;
}

type Ends = (() => Promise<void> | void)[];

export interface OutageOptions {
  readonly bundled: boolean;
  /** Requests to each mode of each proxy. */
  readonly perSecond: number;
  /** Outages (`errors`, `hangs`, `gone`, `black-hole`); null: all. */
  readonly scenarios: readonly string[] | null;
}

/**
 * One of ten instances fails under 500 requests a second, without and with further attempts, and heals: what the client sees of it, how soon the instance is taken
 * out and is back. Both proxies at the same time, each with instances of its own, which fail by the same script. Each scenario has another instance.
 */
export async function outageRows({ bundled, perSecond, scenarios: wanted }: OutageOptions): Promise<{ readonly rows: readonly BenchRow[]; readonly tables: readonly BenchTable[] }> {
  const ends: Ends = [];
  try {
    const contestants = await startContestants(bundled, ends);
    const results: Result[] = [];
    for (const [index, scenario] of scenarios.entries()) {
      if (wanted === null || wanted.includes(scenario.outage)) results.push(...(await runScenario(scenario, index, contestants, perSecond)));
    }
    return { rows: results.filter(({ proxy }) => proxy === 'remora').flatMap((ours) => rowsOf(ours, results, perSecond)), tables: [tableOf(results)] };
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

async function startContestants(bundled: boolean, ends: Ends): Promise<Contestant[]> {
  const [ours, theirs] = [await startHosts(ends), await startHosts(ends)];
  const remora = await startOutageRemora(portsOf(ours), bundled, ends);
  const envoy = await startOutageEnvoy(portsOf(theirs), ends);
  return [{ proxy: remora, hosts: ours }, ...(envoy === null ? [] : [{ proxy: envoy, hosts: theirs }])];
}

async function startHosts(ends: Ends): Promise<Contestant['hosts']> {
  const hosts: Record<Mode, ScriptedHost[]> = { plain: [], retries: [], defaults: [] };
  for (const mode of modes) {
    for (let n = 0; n < hostCount; n++) {
      const host = await (scenarios[n]?.outage === 'black-hole' && mode !== 'defaults' ? startFreezingHost : startHost)(`${n}`, answerMs);
      hosts[mode].push(host);
      ends.push(() => host.close());
    }
  }
  return hosts;
}

function portsOf(hosts: Contestant['hosts']): HostPorts {
  const ports = (mode: Mode): readonly number[] => hosts[mode].map(({ port }) => port);
  return { plain: ports('plain'), retries: ports('retries'), defaults: ports('defaults') };
}

/** One mode through one proxy, while a scenario lasts. */
interface Run {
  readonly mode: Mode;
  readonly proxy: OutageProxy;
  readonly host: ScriptedHost;
  readonly load: OpenLoad;
  outMs: number | null;
  retries: number;
}

async function runScenario(scenario: Scenario, index: number, contestants: readonly Contestant[], perSecond: number): Promise<Result[]> {
  const loadedAt = performance.now();
  const runs: Run[] = contestants.flatMap(({ proxy, hosts }) => scenario.modes.map((mode) => ({
    mode, proxy, host: hosts[mode][index] as ScriptedHost, load: startOpenLoad(proxy.port, `/${mode}`, perSecond), outMs: null, retries: 0,
  })));
  // Connections and measurements are there by then; the level of before is taken from the rest.
  await pause(beforeMs);
  for (const run of runs) run.retries = -(await run.proxy.retries(run.mode));
  const [illAt, illAtWall] = [performance.now(), Date.now()];
  await Promise.all(runs.map(({ host }) => host.fail(scenario.outage)));
  await watchUntil(runs, illAtWall, illAt + scenario.illMs);
  const healedAt = performance.now();
  for (const run of runs) run.retries += await run.proxy.retries(run.mode);
  await Promise.all(runs.map(({ host }) => host.heal()));
  const times = { loadedAt: loadedAt + beforeMs / 2, illAt, healedAt };
  await untilBack(runs, times);
  return Promise.all(runs.map(async (run) => ({ scenario, mode: run.mode, proxy: run.proxy.name, figures: outageFigures(await run.load.stop(), run.host.name, times, run) })));
}

/** Asks who is out, for as long as somebody is not. */
async function watchUntil(runs: readonly Run[], sinceWall: number, end: number): Promise<void> {
  while (performance.now() < end) {
    for (const run of runs) {
      if (run.outMs !== null) continue;
      const at = await run.proxy.takenOutAt(run.mode, run.host.port, sinceWall);
      if (at !== null) run.outMs = Math.max(0, at - sinceWall);
    }
    await pause(Math.min(40, Math.max(1, end - performance.now())));
  }
}

async function untilBack(runs: readonly Run[], times: OutageTimes): Promise<void> {
  const end = times.healedAt + backMs;
  while (performance.now() < end && runs.some(({ load, host }) => outageFigures(load.answers(), host.name, times, { outMs: null, retries: 0 }).returnMs === null)) await pause(200);
}

// --- what is printed -------------------------------------------------------------------------------------------------

function rowsOf({ scenario, mode, figures }: Result, results: readonly Result[], perSecond: number): BenchRow[] {
  const what = `one of ${hostCount} ${scenario.name}, ${perSecond}/s, ${mode}`;
  const peers = (read: (figures: OutageFigures) => number | string): Readonly<Record<string, number | string>> =>
    Object.fromEntries(results.filter((other) => other.scenario === scenario && other.mode === mode && other.proxy !== 'remora').map((other) => [other.proxy, read(other.figures)]));
  const most = mode === 'retries' ? 0 : 6;
  const back = figures.p99BackMs;
  return [
    { what: `${what}: failed requests`, value: figures.failed, unit: '', bar: most === 0 ? '0' : `≤ ${most}`, ok: figures.failed <= most, peers: peers(({ failed }) => failed) },
    { what: `${what}: p99 is back after`, value: numberOf(back), unit: 's', bar: '≤ 2 s', ok: back !== null && back <= 2_000, peers: peers(({ p99BackMs }) => seconds(p99BackMs)) },
    { what: `${what}: taken out after`, value: numberOf(figures.outMs), unit: 's', bar: '', ok: null, peers: peers(({ outMs }) => seconds(outMs)), ...(figures.outMs === null && { note: 'not: balancing gives it nothing' }) },
    { what: `${what}: healed, is back after`, value: numberOf(figures.returnMs), unit: 's', bar: '', ok: null, peers: peers(({ returnMs }) => seconds(returnMs)) },
    { what: `${what}: attempts for each request`, value: round(figures.attempts, 4), unit: '×', bar: '', ok: null, peers: peers(({ attempts }) => round(attempts, 4)) },
  ];
}

function tableOf(results: readonly Result[]): BenchTable {
  const names = [...new Set(results.map(({ proxy }) => proxy))];
  const cells = scenarios.filter((scenario) => results.some((one) => one.scenario === scenario)).flatMap((scenario) => scenario.modes.map((mode) => {
    const each = (read: (figures: OutageFigures) => string): string => names.map((name) => {
      const found = results.find((one) => one.scenario === scenario && one.mode === mode && one.proxy === name);
      return found === undefined ? '' : read(found.figures);
    }).join(' / ');
    return [
      `${scenario.name}, ${mode}`, each(({ failed }) => String(failed)), each(({ attempts }) => String(round(attempts, 3))), each(({ outMs }) => seconds(outMs)), each(({ returnMs }) => seconds(returnMs)), each(({ p99BackMs }) => seconds(p99BackMs)),
    ];
  }));
  return { head: [`one of ${hostCount} instances, ${names.join(' / ')}`, 'failures seen by the client', 'attempts for each request', 'taken out after', 'healed, back after', 'p99 back after'], cells };
}

function seconds(ms: number | null): string {
  return ms === null ? '—' : `${round(ms / 1_000, 2)} s`;
}

function numberOf(ms: number | null): number {
  return ms === null ? Number.NaN : round(ms / 1_000, 2);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}
