import { existsSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '@remora/testing/free-port';
import { request } from 'undici';
import type { Bench, BenchRow } from './bench-document.ts';
import { residentMiB, stop } from '../processes/child.ts';
import { describeMachine } from './machine.ts';
import { startControlPlane, startSidecar } from '../processes/remora.ts';

const bundle = path.resolve(import.meta.dirname, '../../dist/remora-sidecar.mjs');

/** The sidecar alone: memory at rest, start from disk, and the longest stall of its data thread while 10^5 routes arrive. */
export const run: Bench = async ({ quick }) => {
  if (!existsSync(bundle)) throw new Error('dist/remora-sidecar.mjs is missing: npm run bundle');
  return { bench: 'sidecar', machine: describeMachine(), rows: [...await memoryAndStart(quick ? 3 : 9), ...await stallWhileRoutesArrive(quick ? 10_000 : 100_000)] };
};

async function memoryAndStart(starts: number): Promise<BenchRow[]> {
  const port = await freePort();
  const controlPlane = await startControlPlane({ core: 0, flags: ['--store', 'memory'], bundled: true });
  await controlPlane.apply(gatewayDocuments(port));
  const flags = ['--gateway', 'edge', '--control-plane', controlPlane.push];
  let sidecar = await startSidecar(flags, { core: 1, bundled: true });
  await untilStatus(port, 204);
  await settle();
  const memory = residentMiB(sidecar.process.pid ?? 0);
  await stop(sidecar.process);
  await stop(controlPlane.process);
  const delays: number[] = [];
  for (let i = 0; i < starts; i++) {
    const began = performance.now();
    const starting = startSidecar(flags, { core: 1, bundled: true, folder: sidecar.folder });
    delays.push(await untilStatus(port, 204) - began);
    const started = await starting;
    await stop(started.process);
    sidecar = { ...started, folder: sidecar.folder };
  }
  delays.sort((a, b) => a - b);
  const median = Math.round(delays[Math.floor(delays.length / 2)] ?? Number.NaN);
  return [
    { what: 'sidecar: resident memory idle, bundled', value: Math.round(memory * 10) / 10, unit: 'MiB', bar: '≤ 95 MB', ok: memory * 1.048576 <= 95 },
    { what: 'sidecar: start from disk to first answered request, median', value: median, unit: 'ms', bar: '≤ 700 ms', ok: median <= 700 },
  ];
}

async function stallWhileRoutesArrive(routes: number): Promise<BenchRow[]> {
  const port = await freePort();
  const controlPlane = await startControlPlane({ core: 0, flags: ['--store', 'memory'], bundled: true });
  await controlPlane.apply(gatewayDocuments(port));
  const sidecar = await startSidecar(['--gateway', 'edge', '--control-plane', controlPlane.push], { core: 1, bundled: true });
  await untilStatus(port, 204);
  const admin = sidecar.ports['admin'] ?? 0;
  await statusOf(admin);
  let longest = 0;
  let running = true;
  const watch = (async () => {
    while (running) {
      const began = performance.now();
      await request(`http://127.0.0.1:${port}/fixed`).then((response) => response.body.dump());
      longest = Math.max(longest, performance.now() - began);
    }
  })();
  await controlPlane.apply(manyRoutes(routes), '?wait=applied&timeout=120s');
  running = false;
  await watch;
  const stall = Number((await statusOf(admin))['stallMsMax'] ?? Number.NaN);
  await stop(sidecar.process);
  await stop(controlPlane.process);
  return [
    { what: `sidecar: longest stall of the data thread while ${routes} routes arrive`, value: Math.round(stall * 10) / 10, unit: 'ms', bar: '≤ 20 ms', ok: stall <= 20 },
    { what: 'the same as seen by a client: slowest request', value: Math.round(longest * 10) / 10, unit: 'ms', bar: '', ok: null },
  ];
}

function gatewayDocuments(port: number): string {
  return `
kind: Gateway
name: edge
listeners: {plain: {port: ${port}}}
---
kind: Route
name: fixed
gateway: edge
match: {path: {exact: /fixed}}
respond: {status: 204}
`;
}

function manyRoutes(count: number): string {
  const documents: string[] = [];
  for (let i = 0; i < count; i++) documents.push(`{"kind":"Route","name":"r${i}","gateway":"edge","match":{"path":{"prefix":"/api/${i % 1000}/thing/${i}"}},"respond":{"status":204}}`);
  return documents.join('\n---\n');
}

async function statusOf(admin: number): Promise<Record<string, unknown>> {
  return await (await request(`http://127.0.0.1:${admin}/status`)).body.json() as Record<string, unknown>;
}

async function untilStatus(port: number, status: number): Promise<number> {
  const end = performance.now() + 30_000;
  for (;;) {
    const seen = await request(`http://127.0.0.1:${port}/fixed`).then(async (response) => {
      await response.body.dump();
      return response.statusCode;
    }, () => 0);
    if (seen === status) return performance.now();
    if (performance.now() > end) throw new Error(`port ${port} answers ${seen}`);
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
}

/** Lets the start-up garbage go before memory is read. */
async function settle(): Promise<void> {
  await new Promise((resolve) => { setTimeout(resolve, 5_000); });
}
