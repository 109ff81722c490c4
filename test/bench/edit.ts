import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import path from 'node:path';
import { request } from 'undici';
import type { Bench, BenchRow } from './bench-document.ts';
import { cpuMs, stop } from '../processes/child.ts';
import { describeMachine } from './machine.ts';
import { startControlPlane, startSidecar, type RunningControlPlane } from '../processes/remora.ts';

/** A write's answer → the first request that shows it, through two sidecars; and the same with many sidecars until all enforce it. */
export const run: Bench = async ({ quick, flags }) => {
  if (!existsSync(path.resolve(import.meta.dirname, '../../dist/remora-sidecar.mjs'))) throw new Error('dist/remora-sidecar.mjs is missing: npm run bundle');
  const rows = [...await throughTwoSidecars(quick ? 10 : 30), ...await withManySidecars(Number(flags['sidecars'] ?? (quick ? 6 : 30)), quick ? 10 : 100)];
  return { bench: 'edit', machine: describeMachine(), rows };
};

const documents = (app: number): string => `
kind: Service
name: caller
ports: {http: {port: 1, protocol: http}}
dependsOn: [callee]
---
kind: Service
name: callee
ports: {http: {port: ${app}, protocol: http}}
`;

function headerPolicy(mark: number): string {
  return `
kind: Policy
name: mark
target: {service: callee}
transform: {response: {headers: {set: {x-mark: "${mark}"}}}}
`;
}

async function startApp(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((_, response) => { response.setHeader('content-type', 'text/plain').end('ok'); });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { server, port: address.port };
}

async function throughTwoSidecars(edits: number): Promise<BenchRow[]> {
  const app = await startApp();
  const controlPlane = await startControlPlane({ core: 0, bundled: true });
  await controlPlane.apply(documents(app.port));
  const callee = await startSidecar(['--service', 'callee', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0'], { core: 1, bundled: true });
  const caller = await startSidecar(['--service', 'caller', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0'], { core: 1, bundled: true });
  const outbound = caller.ports['outbound'] ?? 0;
  try {
    await untilMark(outbound, null);
    const delays: number[] = [];
    let stale = 0;
    for (let edit = 1; edit <= edits; edit++) {
      await controlPlane.apply(headerPolicy(edit));
      const answered = performance.now();
      delays.push(await untilMark(outbound, edit) - answered);
      for (let check = 0; check < 20; check++) if (await readMark(outbound) !== edit) stale += 1;
    }
    delays.sort((a, b) => a - b);
    return [
      row('edit: answer of the write → first changed answer, p50', quantile(delays, 0.5), 'ms', '≤ 10 ms', (value) => value <= 10),
      row('edit: answer of the write → first changed answer, max', quantile(delays, 1), 'ms', '≤ 50 ms', (value) => value <= 50),
      row('edit: old answers after the first changed one', stale, '', '0', (value) => value === 0),
    ];
  } finally {
    await endAll([controlPlane.process, callee.process, caller.process], app.server);
  }
}

async function withManySidecars(sidecars: number, edits: number): Promise<BenchRow[]> {
  const app = await startApp();
  const controlPlane = await startControlPlane({ bundled: true });
  await controlPlane.apply(documents(app.port));
  const running: ChildProcess[] = [];
  const ports: number[] = [];
  for (let i = 0; i < sidecars; i++) {
    const sidecar = await startSidecar(['--service', 'callee', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0'], { bundled: true });
    running.push(sidecar.process);
    ports.push(sidecar.ports['inbound'] ?? sidecar.ports['inbound/http'] ?? 0);
  }
  const light = setInterval(() => {
    for (const port of ports) void request(`http://127.0.0.1:${port}/`).then((response) => response.body.dump(), () => {});
  }, 200);
  try {
    await untilConnected(controlPlane, sidecars);
    const delays: number[] = [];
    const spentBefore = cpuOf(running);
    for (let edit = 1; edit <= edits; edit++) {
      const started = performance.now();
      await controlPlane.apply(headerPolicy(edit), '?wait=applied&timeout=10s');
      delays.push(performance.now() - started);
    }
    const perEdit = (cpuOf(running) - spentBefore) / (edits * sidecars);
    delays.sort((a, b) => a - b);
    return [row('edit: CPU of one sidecar per edit that it applies, all threads, light traffic included', perEdit, 'ms', '≤ 2 ms', (value) => value <= 2),
      row(`edit: write → enforced by all of ${sidecars} sidecar processes, p99`, quantile(delays, 0.99), 'ms', '≤ 150 ms', (value) => value <= 150),
      row(`edit: write → enforced by all of ${sidecars} sidecar processes, p50`, quantile(delays, 0.5), 'ms', '', null)];
  } finally {
    clearInterval(light);
    await endAll([controlPlane.process, ...running], app.server);
  }
}

function cpuOf(processes: readonly ChildProcess[]): number {
  return processes.reduce((sum, { pid }) => sum + (pid === undefined ? 0 : cpuMs(pid)), 0);
}

async function readMark(port: number): Promise<number | null> {
  const response = await request(`http://127.0.0.1:${port}/`, { headers: { host: 'callee' } }).catch(() => null);
  if (response === null) return null;
  await response.body.dump();
  const mark = response.headers['x-mark'];
  return response.statusCode === 200 ? Number(mark ?? 0) : null;
}

/** Polls every 5 ms; answers the moment of the first answer with the mark (null: any answer of 200). */
async function untilMark(port: number, mark: number | null): Promise<number> {
  const end = performance.now() + 15_000;
  for (;;) {
    const seen = await readMark(port);
    if (seen !== null && (mark === null || seen === mark)) return performance.now();
    if (performance.now() > end) throw new Error(`mark ${mark} was not seen; last ${seen}`);
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
}

async function untilConnected(controlPlane: RunningControlPlane, count: number): Promise<void> {
  const end = performance.now() + 30_000;
  for (;;) {
    const body = await (await fetch(`${controlPlane.api}/v1/sidecars?limit=500`)).json() as { readonly items?: readonly { readonly phase: string }[] };
    const inSync = (body.items ?? []).filter((item) => item.phase === 'in-sync').length;
    if (inSync === count) return;
    if (performance.now() > end) throw new Error(`${inSync} of ${count} sidecars are in sync`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

async function endAll(processes: readonly ChildProcess[], app: Server): Promise<void> {
  for (const child of processes) await stop(child);
  app.closeAllConnections();
  await new Promise((resolve) => { app.close(resolve); });
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

function row(what: string, value: number, unit: string, bar: string, met: ((value: number) => boolean) | null): BenchRow {
  const rounded = Math.round(value * 100) / 100;
  return { what, value: rounded, unit, bar, ok: met === null ? null : met(rounded) };
}
