import { Agent, createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { rmSync } from 'node:fs';
import type { BenchRow } from '../bench-document.ts';
import { stop } from '../../processes/child.ts';
import { startControlPlane, startSidecar } from '../../processes/remora.ts';
import { ask, type Answer } from '../../processes/traffic.ts';
import { until } from '../../processes/until.ts';

const hosts = 10;
const fastMs = 30;
const slowMs = 300;
const perSecond = 500;
/** What is measured of hosts is known by then. */
const warmUpMs = 1_000;

/** One host of ten is ten times slower: p99 by peak EWMA and in turns, beside the same ten without a slow one. In one run, at once, through one gateway. */
export async function balancingRows({ bundled, seconds }: { readonly bundled: boolean; readonly seconds: number }): Promise<BenchRow[]> {
  const ends: (() => Promise<void> | void)[] = [];
  try {
    const port = await startMesh(bundled, ends);
    const p99 = { even: [] as number[], slow: [] as number[], turns: [] as number[] };
    const bySlow: number[] = [];
    // One after the other, several times: what else the machine does meets all of them.
    for (let round = 0; round < 3; round++) {
      for (const name of ['even', 'slow', 'turns'] as const) {
        const answers = await load(port, `/${name}`, (seconds * 1_000) / 2);
        p99[name].push(percentile99(answers));
        if (name === 'slow') bySlow.push(answers.filter(({ body }) => body === String(slowMs)).length / answers.length);
      }
    }
    const [even, slow, turns] = [median(p99.even), median(p99.slow), median(p99.turns)];
    const ratio = slow / even;
    return [
      { what: `one host of ten ${slowMs / fastMs} x slower, ${perSecond}/s: p99 against none, peakEwma`, value: round2(ratio), unit: 'x', bar: '≤ 1.5', ok: ratio <= 1.5, note: `${round2(slow)} ms against ${round2(even)} ms` },
      { what: 'the same: requests that the slow host got', value: round2(Math.max(...bySlow) * 100), unit: '%', bar: '≤ 1 %', ok: Math.max(...bySlow) <= 0.01 },
      { what: 'the same, roundRobin', value: round2(turns / even), unit: 'x', bar: '', ok: null, note: `${round2(turns)} ms` },
    ];
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

async function startMesh(bundled: boolean, ends: (() => Promise<void> | void)[]): Promise<number> {
  const fast = await Promise.all(Array.from({ length: hosts }, () => startInstance(fastMs, ends)));
  const slow = await startInstance(slowMs, ends);
  const controlPlane = await startControlPlane({ bundled, onLog: () => {} });
  ends.push(async () => {
    await stop(controlPlane.process);
    rmSync(controlPlane.folder, { recursive: true, force: true });
  });
  const service = (name: string, ports: readonly number[]): string => `{kind: Service, name: ${name}, ports: {http: {port: 80, protocol: http}}, endpoints: [${ports.map((port) => `{address: 127.0.0.1, port: ${port}}`).join(', ')}]}
---
{kind: Route, name: ${name}, gateway: edge, match: {path: {prefix: /${name}}}, to: [{service: ${name}}]}`;
  const withSlow = [...fast.slice(1), slow];
  await controlPlane.apply(['{kind: Gateway, name: edge, listeners: {plain: {port: 0}}}', service('even', fast), service('slow', withSlow), service('turns', withSlow),
    '{kind: Policy, name: turns, target: {service: turns}, loadBalancing: {algorithm: roundRobin}}'].join('\n---\n'));
  const gateway = await startSidecar(['--gateway', 'edge', '--control-plane', controlPlane.push], { bundled, onLog: () => {} });
  ends.push(async () => {
    await stop(gateway.process);
    rmSync(gateway.folder, { recursive: true, force: true });
  });
  const port = await until('the gateway listens', () => listenerPort(gateway.ports['admin'] ?? 0), (found) => found > 0);
  for (const path of ['/even', '/slow', '/turns']) await until(`an answer of ${path}`, () => ask({ port, path }), ({ status }) => status === 200);
  return port;
}

async function listenerPort(admin: number): Promise<number> {
  const status = (await (await fetch(`http://127.0.0.1:${admin}/status`)).json()) as { readonly listeners: readonly { readonly name: string; readonly port: number }[] };
  return status.listeners.find(({ name }) => name === 'gateway/plain')?.port ?? 0;
}

async function startInstance(delayMs: number, ends: (() => void)[]): Promise<number> {
  const server: Server = createServer((_, response) => void setTimeout(() => response.end(String(delayMs)), delayMs));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Requests at their times, whether the ones before have been answered or not; those of the warm-up are left out. */
async function load(port: number, path: string, ms: number): Promise<Answer[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 200 });
  const began = performance.now();
  const asked: Promise<Answer>[] = [];
  while (performance.now() - began < warmUpMs + ms) {
    const due = ((performance.now() - began) * perSecond) / 1_000;
    while (asked.length < due) asked.push(ask({ port, path, agent }));
    await new Promise((resolve) => { setTimeout(resolve, 1); });
  }
  const answers = await Promise.all(asked);
  agent.destroy();
  const failed = answers.filter(({ status }) => status !== 200).length;
  if (failed > 0) throw new Error(`${failed} of ${answers.length} requests to ${path} failed`);
  return answers.filter(({ startedAt }) => startedAt - began >= warmUpMs);
}

function percentile99(answers: readonly Answer[]): number {
  const times = answers.map(({ elapsedMs }) => elapsedMs).sort((a, b) => a - b);
  return times[Math.floor(times.length * 0.99)] ?? Number.NaN;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}
