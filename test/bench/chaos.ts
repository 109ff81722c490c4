import { createServer } from 'node:http';
import { rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { scratchFolder } from '@remora/testing/scratch-folder';
import type { Bench, BenchRow } from './bench-document.ts';
import { describeMachine } from './machine.ts';
import type { ChaosPlan } from '../processes/chaos-worker.ts';
import { residentMiB, stop, untilListening } from '../processes/child.ts';
import { h2load } from '../processes/load.ts';
import { freePort, startBackend } from '../processes/peers.ts';
import { startControlPlane, startSidecar } from '../processes/remora.ts';
import { ask } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';

const nothing: Omit<ChaosPlan, 'port' | 'bigPath'> = {
  idle: 0, slowHeads: 0, slowBodies: 0, slowReads: 0, halfOpenPerSecond: 0, floodsPerSecond: 0, pipelined: 0, tinyChunks: 0, resetsPerSecond: 0,
};

const plans: readonly (readonly [string, Partial<ChaosPlan>])[] = [
  ['2,000 idle connections', { idle: 2_000 }],
  ['500 slow heads, 300 slow bodies', { slowHeads: 500, slowBodies: 300 }],
  ['100 that do not read their megabyte', { slowReads: 100 }],
  ['50 half-open, 50 reset and 20 header floods a second', { halfOpenPerSecond: 50, resetsPerSecond: 50, floodsPerSecond: 20 }],
  ['10,000 pipelined, again and again', { pipelined: 10_000 }],
  ['20 that send chunks of one byte', { tinyChunks: 20 }],
  ['all of it together', { idle: 2_000, slowHeads: 500, slowBodies: 300, slowReads: 100, halfOpenPerSecond: 50, resetsPerSecond: 50, floodsPerSecond: 20, pipelined: 10_000, tinyChunks: 20 }],
];

/** faults.md 9: what clients that misbehave do to the p99 of one that does not, at a steady rate. Calm and chaos take turns (`--rounds N`, 3). */
export const run: Bench = async ({ quick, flags }) => {
  const folder = scratchFolder('bench-chaos');
  const backend = await startBackend(folder, 0);
  const big = await startBig();
  const controlPlane = await startControlPlane({ core: 0, flags: ['--store', 'memory'], bundled: true });
  const port = await freePort();
  await controlPlane.apply(documents(port, backend.port, big.port));
  const sidecar = await startSidecar(['--gateway', 'edge', '--control-plane', controlPlane.push, '--log-level', 'error'], { core: 1, bundled: true });
  try {
    await untilListening(port);
    await until('the first answer', () => ask({ port, path: '/api/users/1' }), ({ status }) => status === 200);
    const rows: BenchRow[] = [];
    for (const [what, plan] of quick ? plans.slice(-1) : plans) rows.push(...await compare(what, { ...nothing, ...plan, port, bigPath: '/big' }, { folder, pid: sidecar.process.pid ?? 0, rounds: Number(flags['rounds'] ?? (quick ? 1 : 3)) }));
    return { bench: 'chaos', machine: describeMachine(), rows };
  } finally {
    big.close();
    for (const child of [sidecar.process, controlPlane.process, backend.process]) await stop(child);
    rmSync(folder, { recursive: true, force: true });
  }
};

interface Around {
  readonly folder: string;
  readonly pid: number;
  readonly rounds: number;
}

async function compare(what: string, plan: ChaosPlan, { folder, pid, rounds }: Around): Promise<BenchRow[]> {
  const measure = async (): Promise<{ readonly p99Ms: number; readonly errors: number }> =>
    h2load({ url: `http://127.0.0.1:${plan.port}/api/users/1`, connections: 8, streams: 1, seconds: 4, core: 0, http1: true, ratePerConnection: 50, log: path.join(folder, 'h2load.log') });
  const [calm, wild]: [number[], number[]] = [[], []];
  let errors = 0;
  let memory = 0;
  for (let round = 0; round < rounds; round++) {
    calm.push((await measure()).p99Ms);
    const before = residentMiB(pid);
    const chaos = new Worker(new URL('../processes/chaos-worker.ts', import.meta.url), { workerData: plan });
    chaos.once('error', (error) => { throw error; });
    await new Promise((resolve) => { setTimeout(resolve, 2_000); });
    const result = await measure();
    memory = Math.max(memory, residentMiB(pid) - before);
    await chaos.terminate();
    await new Promise((resolve) => { setTimeout(resolve, 1_000); });
    wild.push(result.p99Ms);
    errors += result.errors;
  }
  const ratio = median(wild) / median(calm);
  return [
    { what: `${what}: p99 of others, ratio to calm`, value: round2(ratio), unit: '×', bar: '≤ 2', ok: ratio <= 2, note: `${round2(median(calm))} → ${round2(median(wild))} ms, ${memory.toFixed(0)} MiB more` },
    { what: `${what}: failed requests of others`, value: errors, unit: '', bar: '0', ok: errors === 0 },
  ];
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

async function startBig(): Promise<{ readonly port: number; close(): void }> {
  const body = Buffer.alloc(1024 * 1024, 'x');
  const server = createServer((request, response) => {
    request.resume();
    response.end(body);
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

function documents(port: number, backend: number, big: number): string {
  return `
{kind: Gateway, name: edge, listeners: {main: {port: ${port}}}}
---
{kind: Service, name: users, ports: {http: {port: ${backend}}}, endpoints: [{address: 127.0.0.1}]}
---
{kind: Service, name: big, ports: {http: {port: ${big}}}, endpoints: [{address: 127.0.0.1}]}
---
{kind: Route, name: users, gateway: edge, match: {path: {prefix: /}}, to: [{service: users}]}
---
{kind: Route, name: big, gateway: edge, match: {path: {exact: /big}}, to: [{service: big}]}
`;
}
