import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { freePort } from '@remora/testing/free-port';
import { scratchFolder } from '@remora/testing/scratch-folder';
import type { Bench, BenchRow } from './bench-document.ts';
import { describeMachine } from './machine.ts';
import type { ChaosPlan } from '../processes/chaos-worker.ts';
import { cpuMs, residentMiB, stop, untilListening } from '../processes/child.ts';
import { h2load } from '../processes/load.ts';
import { startBackend, startNginx } from '../processes/peers.ts';
import { startControlPlane, startSidecar } from '../processes/remora.ts';
import { ask } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';

type Kinds = Omit<ChaosPlan, 'port' | 'appPath'>;

const nothing: Kinds = {
  idle: 0, slowHeads: 0, slowBodies: 0, returning: 0, slowReads: 0, halfOpenPerSecond: 0, floodsPerSecond: 0, pipelined: 0, tinyChunks: 0, resetsPerSecond: 0,
};

const plans: readonly (readonly [string, Partial<Kinds>])[] = [
  ['2,000 idle connections', { idle: 2_000 }],
  ['500 slow heads, 300 slow bodies', { slowHeads: 500, slowBodies: 300 }],
  ['300 that are answered before their body and come back', { returning: 300 }],
  ['100 that do not read their megabyte', { slowReads: 100 }],
  ['50 half-open, 50 reset and 20 header floods a second', { halfOpenPerSecond: 50, resetsPerSecond: 50, floodsPerSecond: 20 }],
  ['10,000 pipelined, again and again', { pipelined: 10_000 }],
  ['20 that send chunks of one byte', { tinyChunks: 20 }],
  ['all of it together', { idle: 2_000, slowHeads: 500, slowBodies: 300, returning: 300, slowReads: 100, halfOpenPerSecond: 50, resetsPerSecond: 50, floodsPerSecond: 20, pipelined: 10_000, tinyChunks: 20 }],
];

interface Contestant {
  readonly name: 'remora' | 'nginx';
  readonly port: number;
  readonly pid: number;
}

interface Round {
  readonly calmP99Ms: number;
  readonly wildP99Ms: number;
  /** More than when it is calm, milliseconds of CPU a second. */
  readonly cpuMs: number;
  readonly memoryMiB: number;
  readonly errors: number;
}

/**
 * faults.md 9: what clients that misbehave do to the p99 of one that does not, at a steady rate. Calm and chaos take turns (`--rounds N`, 3). Who measures, who
 * makes the chaos and the apps share one core, so that some of what is measured is theirs: nginx goes through the same in the same run. `--plan TEXT` runs
 * those whose name has the text in it.
 */
export const run: Bench = async ({ quick, flags }) => {
  // With all threads: what makes the chaos must not run on the core that is measured.
  execFileSync('taskset', ['-a', '-c', '-p', '0', String(process.pid)], { stdio: 'ignore' });
  const folder = scratchFolder('bench-chaos');
  const backend = await startBackend(folder, 0);
  const app = await startApp();
  const controlPlane = await startControlPlane({ core: 0, flags: ['--store', 'memory'], bundled: true });
  const port = await freePort();
  await controlPlane.apply(documents(port, backend.port, app.port));
  const sidecar = await startSidecar(['--gateway', 'edge', '--control-plane', controlPlane.push, '--log-level', 'error'], { core: 1, bundled: true });
  const nginx = await startNginx(folder, 1, backend.port, 'nginx-chaos-proxy.conf', { APP: app.port });
  try {
    await untilListening(port);
    await until('the first answer', () => ask({ port, path: '/api/users/1' }), ({ status }) => status === 200);
    const contestants: readonly Contestant[] = [{ name: 'remora', port, pid: sidecar.process.pid ?? 0 }, { name: 'nginx', port: nginx.port, pid: nginx.process.pid ?? 0 }];
    const wanted = plans.filter(([what]) => what.includes(flags['plan'] ?? (quick ? 'together' : '')));
    const rounds = Number(flags['rounds'] ?? (quick ? 1 : 3));
    const rows: BenchRow[] = [];
    for (const [what, plan] of wanted) rows.push(...await compare(what, { ...nothing, ...plan }, contestants, { folder, rounds }));
    return { bench: 'chaos', machine: describeMachine(), rows };
  } finally {
    app.close();
    for (const child of [sidecar.process, controlPlane.process, nginx.process, backend.process]) await stop(child);
  }
};

async function compare(what: string, kinds: Kinds, contestants: readonly Contestant[], { folder, rounds }: { readonly folder: string; readonly rounds: number }): Promise<BenchRow[]> {
  const results = new Map<string, Round[]>(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const contestant of contestants) results.get(contestant.name)?.push(await oneRound(kinds, contestant, folder));
  }
  const ours = results.get('remora') ?? [];
  const theirs = results.get('nginx') ?? [];
  const ratio = round2(median(ours, 'wildP99Ms') / median(ours, 'calmP99Ms'));
  const errors = ours.reduce((sum, round) => sum + round.errors, 0);
  return [
    {
      what: `${what}: p99 of others, ratio to calm`, value: ratio, unit: '×', bar: '≤ 2', ok: ratio <= 2,
      peers: { nginx: round2(median(theirs, 'wildP99Ms') / median(theirs, 'calmP99Ms')) }, note: `${shown(ours)}, ${Math.max(...ours.map(({ memoryMiB }) => memoryMiB)).toFixed(0)} MiB more; nginx ${shown(theirs)}`,
    },
    { what: `${what}: failed requests of others`, value: errors, unit: '', bar: '0', ok: errors === 0 },
  ];
}

async function oneRound(kinds: Kinds, { port, pid }: Contestant, folder: string): Promise<Round> {
  const measure = async (): Promise<{ readonly p99Ms: number; readonly errors: number; readonly cpuMs: number }> => {
    const before = cpuMs(pid);
    const load = await h2load({ url: `http://127.0.0.1:${port}/api/users/1`, connections: 8, streams: 1, seconds: measuredSeconds, core: 0, http1: true, ratePerConnection: 50, log: path.join(folder, 'h2load.log') });
    return { ...load, cpuMs: (cpuMs(pid) - before) / measuredSeconds };
  };
  const calm = await measure();
  const memory = residentMiB(pid);
  const chaos = new Worker(new URL('../processes/chaos-worker.ts', import.meta.url), { workerData: { ...kinds, port, appPath: '/app' } satisfies ChaosPlan });
  chaos.once('error', (error) => { throw error; });
  await new Promise((resolve) => { setTimeout(resolve, 2_000); });
  const wild = await measure();
  const memoryMiB = residentMiB(pid) - memory;
  await chaos.terminate();
  await new Promise((resolve) => { setTimeout(resolve, 1_000); });
  return { calmP99Ms: calm.p99Ms, wildP99Ms: wild.p99Ms, cpuMs: wild.cpuMs - calm.cpuMs, memoryMiB, errors: wild.errors };
}

const measuredSeconds = 4;

function shown(rounds: readonly Round[]): string {
  return `${round2(median(rounds, 'calmP99Ms'))} → ${round2(median(rounds, 'wildP99Ms'))} ms, ${median(rounds, 'cpuMs').toFixed(0)} ms of CPU a second`;
}

function median(rounds: readonly Round[], field: keyof Round): number {
  return rounds.map((round) => round[field]).sort((a, b) => a - b)[rounds.length >> 1] ?? Number.NaN;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Answers GET with a megabyte at once, and anything else when all of the body has come. */
async function startApp(): Promise<{ readonly port: number; close(): void }> {
  const big = Buffer.alloc(1024 * 1024, 'x');
  const server = createServer((request, response) => {
    request.resume();
    if (request.method === 'GET') response.end(big);
    else request.once('end', () => response.end());
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function documents(port: number, backend: number, app: number): string {
  return `
{kind: Gateway, name: edge, listeners: {main: {port: ${port}}}}
---
{kind: Service, name: users, ports: {http: {port: ${backend}}}, endpoints: [{address: 127.0.0.1}]}
---
{kind: Service, name: app, ports: {http: {port: ${app}}}, endpoints: [{address: 127.0.0.1}]}
---
{kind: Route, name: users, gateway: edge, match: {path: {prefix: /}}, to: [{service: users}]}
---
{kind: Route, name: app, gateway: edge, match: {path: {exact: /app}}, to: [{service: app}]}
`;
}
