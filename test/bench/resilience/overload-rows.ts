import { Agent, createServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import type { BenchRow } from '../bench-document.ts';
import { stop } from '../../processes/child.ts';
import { startControlPlane, startSidecar } from '../../processes/remora.ts';
import { ask, type Answer } from '../../processes/traffic.ts';
import { until } from '../../processes/until.ts';

const workers = 10;
const workMs = 50;
/** What the app can do, each second. */
const capacity = (workers * 1_000) / workMs;
/** The limit is found by then. */
const warmUpMs = 3_000;

type Ends = (() => Promise<void> | void)[];

/** An app that works on ten requests at once gets three times what it can do, through a sidecar that has `concurrency` with its defaults. */
export async function overloadRows({ bundled, seconds }: { readonly bundled: boolean; readonly seconds: number }): Promise<BenchRow[]> {
  const ends: Ends = [];
  try {
    const port = await startService(bundled, ends);
    const unloaded = await load(port, capacity * 0.2, seconds * 1_000);
    const overload = await load(port, capacity * 3, seconds * 1_000);
    const done = overload.filter(({ status }) => status === 200);
    const share = done.length / seconds / capacity;
    const [before, under] = [percentile99(unloaded), percentile99(done)];
    const foreign = overload.filter(({ status }) => status !== 200 && status !== 503).length;
    return [
      { what: `overload, ${capacity * 3}/s of ${capacity}/s: goodput of capacity`, value: Math.round(share * 1_000) / 10, unit: '%', bar: '≥ 90 %', ok: share >= 0.9 },
      { what: 'overload: p99 of what was let in, against that without load', value: Math.round((under / before) * 100) / 100, unit: 'x', bar: '≤ 3', ok: under <= before * 3, note: `${Math.round(under)} ms against ${Math.round(before)} ms` },
      { what: 'overload: answers other than 200 and the refusal', value: foreign, unit: '', bar: '0', ok: foreign === 0 },
    ];
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

async function startService(bundled: boolean, ends: Ends): Promise<number> {
  const app = await startApp(ends);
  const controlPlane = await startControlPlane({ bundled, onLog: () => {} });
  ends.push(async () => {
    await stop(controlPlane.process);
    rmSync(controlPlane.folder, { recursive: true, force: true });
  });
  await controlPlane.apply('{kind: Service, name: orders, ports: {http: {port: 80, protocol: http}}}\n---\n{kind: Policy, name: load, target: {service: orders}, concurrency: {mode: adaptive}}');
  const sidecar = await startSidecar(['--service', 'orders', '--app', `127.0.0.1:${app}`, '--inbound', '0', '--outbound', '0', '--control-plane', controlPlane.push], { bundled, onLog: () => {} });
  ends.push(async () => {
    await stop(sidecar.process);
    rmSync(sidecar.folder, { recursive: true, force: true });
  });
  const port = sidecar.ports['inbound'] ?? 0;
  await until('the first answer', () => ask({ port, path: '/' }), ({ status }) => status === 200);
  return port;
}

/** Works on so many requests at once; others wait, first come, first served. */
async function startApp(ends: Ends): Promise<number> {
  const waiting: ServerResponse[] = [];
  let working = 0;
  const begin = (response: ServerResponse): void => {
    working++;
    setTimeout(() => {
      working--;
      response.end('done');
      const next = waiting.shift();
      if (next !== undefined) begin(next);
    }, workMs);
  };
  const server = createServer((_, response) => {
    if (working < workers) begin(response);
    else waiting.push(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Requests at their times, whether the ones before have been answered or not; those of the warm-up are left out. */
async function load(port: number, perSecond: number, ms: number): Promise<Answer[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 400 });
  const began = performance.now();
  const asked: Promise<Answer>[] = [];
  while (performance.now() - began < warmUpMs + ms) {
    const due = ((performance.now() - began) * perSecond) / 1_000;
    while (asked.length < due) asked.push(ask({ port, path: '/', agent }));
    await new Promise((resolve) => { setTimeout(resolve, 1); });
  }
  const answers = await Promise.all(asked);
  agent.destroy();
  return answers.filter(({ startedAt }) => startedAt - began >= warmUpMs);
}

function percentile99(answers: readonly Answer[]): number {
  const times = answers.map(({ elapsedMs }) => elapsedMs).sort((a, b) => a - b);
  return times[Math.floor(times.length * 0.99)] ?? Number.NaN;
}
