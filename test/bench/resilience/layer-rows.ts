import { rmSync } from 'node:fs';
import { freePort } from '@remora/testing/free-port';
import { programPath } from '@remora/testing/requirement';
import { scratchFolder } from '@remora/testing/scratch-folder';
import type { BenchRow } from '../bench-document.ts';
import { cpuMs, stop } from '../../processes/child.ts';
import { wrk } from '../../processes/load.ts';
import { startBackend } from '../../processes/peers.ts';
import { startControlPlane, startSidecar, type RunningSidecar } from '../../processes/remora.ts';
import { ask } from '../../processes/traffic.ts';
import { until } from '../../processes/until.ts';

/**
 * Each layer as it costs most where nothing fails: all its detectors on, and nothing that fires. `mirror` copies one request of a thousand: a copy is a request of its own. The default of loadBalancing
 * is peakEwma; a Service without a policy has a choice between its hosts too, so that its row is that of the layer alone.
 */
const layers: Readonly<Record<string, string>> = {
  timeout: '{request: 15s, perTry: 5s, idle: 60s}',
  fallback: '{when: [failure, gateway-error], answer: {status: 200, body: none}}',
  mirror: '{to: {service: other}, ratio: 0.1%}',
  retry: '{retries: 2, retryOn: [connect-failure, reset, refused-stream, gateway-error]}',
  hedging: '{quantile: 99.9%, minDelay: 5s}',
  circuitBreaker: '{consecutiveFailures: 5, failureRate: 50%, slowCallRate: 80%}',
  loadBalancing: '{algorithm: peakEwma, slowStart: {window: 10s}}',
  outlierDetection: '{consecutive5xx: 5, consecutiveGatewayErrors: 3, successRate: {deviations: 1.9}, failurePercentage: {threshold: 50%}}',
  healthCheck: '{interval: 2s, http: {path: /api/users/123}}',
  connectionPool: '{connections: 200, maxAge: 10m}',
};
/** Without a word they are on. */
const always = ['timeout', 'retry', 'outlierDetection', 'circuitBreaker'];
const names = Object.keys(layers);
const variants: readonly { readonly name: string; readonly on: readonly string[] }[] = [{ name: 'off', on: [] }, { name: 'all', on: names }, ...names.map((name) => ({ name, on: [name] }))];

const path = '/api/users/123';
const loadCore = 0;
const gatewayCore = 1;
const roundSeconds = 2;
const rounds = 3;
/** With fewer, what a process does anyway counts too much. */
const leastRequests = 1_000;

type Ends = (() => Promise<void> | void)[];

interface Variant {
  readonly name: string;
  readonly port: number;
  readonly gateway: RunningSidecar;
  /** Microseconds for each request, more than without layers just before; of the gateway without layers all that it takes. */
  readonly addedUs: number[];
}

/**
 * CPU of a request through a gateway with all layers of the caller, with none, and with each alone: a process for each, before the same two instances, loaded in turn, round after
 * round, one core for all gateways and the other for load and instances. What a layer costs is told against the gateway without layers in the same round; medians.
 */
export async function layerRows({ bundled }: { readonly bundled: boolean }): Promise<readonly BenchRow[]> {
  const missing = (['nginx', 'wrk'] as const).filter((program) => programPath(program) === null);
  if (missing.length > 0) return [{ what: 'layers of the caller', value: Number.NaN, unit: '', bar: '', ok: null, note: `needs ${missing.join(', ')}` }];
  const ends: Ends = [];
  try {
    const started = await startVariants(bundled, ends);
    for (const { port } of started) await wrk({ url: `http://127.0.0.1:${port}${path}`, connections: 64, seconds: 1, core: loadCore });
    for (let round = 0; round < rounds; round++) await measureRound(started);
    return rowsOf(started);
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

/** With none and with all twice, and each of the others right behind one of the two. */
async function measureRound(started: readonly Variant[]): Promise<void> {
  const [off, all, ...alone] = started as [Variant, Variant, ...Variant[]];
  const half = Math.ceil(alone.length / 2);
  for (const some of [alone.slice(0, half), alone.slice(half)]) {
    const without = await measure(off);
    off.addedUs.push(without);
    for (const variant of [all, ...some]) variant.addedUs.push((await measure(variant)) - without);
  }
}

/** Microseconds of CPU for each request. */
async function measure({ name, port, gateway }: Variant): Promise<number> {
  const pid = gateway.process.pid ?? 0;
  // A machine that does everything else too may give a round no time at all.
  for (let tries = 0; tries < 3; tries++) {
    const before = cpuMs(pid);
    const { requests, errors } = await wrk({ url: `http://127.0.0.1:${port}${path}`, connections: 64, seconds: roundSeconds, core: loadCore });
    if (errors > 0) throw new Error(`${name}: ${errors} errors in ${requests} requests`);
    if (requests < leastRequests) continue;
    return ((cpuMs(pid) - before) * 1_000) / requests;
  }
  throw new Error(`${name}: hardly a request in three rounds: this machine is too busy for figures`);
}

function rowsOf([off, all, ...alone]: readonly Variant[]): BenchRow[] {
  if (off === undefined || all === undefined) return [];
  const added = median(all.addedUs);
  return [
    { what: 'all layers of the caller on, against off: CPU of a request', value: round2(added), unit: 'µs', bar: '≤ 4 µs', ok: added <= 4, note: `${round2(median(off.addedUs))} µs without; single ones ${all.addedUs.map(round2).join(', ')}` },
    ...alone.map((variant): BenchRow => ({ what: variant.name === 'hedging' ? 'hedging alone, with the budget of retry' : `${variant.name} alone`, value: round2(median(variant.addedUs)), unit: 'µs', bar: '', ok: null })),
  ];
}

async function startVariants(bundled: boolean, ends: Ends): Promise<Variant[]> {
  const folder = scratchFolder('bench-layers');
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const backends = await Promise.all(['one', 'two'].map(async (name) => {
    const own = scratchFolder(`bench-layers-${name}`);
    ends.push(() => rmSync(own, { recursive: true, force: true }));
    const backend = await startBackend(own, loadCore);
    ends.push(() => stop(backend.process));
    return backend.port;
  }));
  const controlPlane = await startControlPlane({ bundled, core: loadCore, flags: ['--store', 'memory'], onLog: () => {} });
  ends.push(async () => {
    await stop(controlPlane.process);
    rmSync(controlPlane.folder, { recursive: true, force: true });
  });
  const ports = await Promise.all(variants.map(() => freePort()));
  const instances = backends.map((port) => `{address: 127.0.0.1, port: ${port}}`).join(', ');
  const service = (name: string): string => `{kind: Service, name: ${name}, ports: {http: {port: 80, protocol: http}}, endpoints: [${instances}]}`;
  await controlPlane.apply([service('other'), ...variants.flatMap(({ name, on }, i) => {
    const id = name.toLowerCase();
    return [
      `{kind: Gateway, name: ${id}, listeners: {main: {port: ${ports[i]}}}}`, service(`to-${id}`),
      `{kind: Route, name: ${id}, gateway: ${id}, match: {path: {prefix: /api}}, to: [{service: to-${id}}]}`,
      // Callers may copy requests only to who they call.
      `{kind: Route, name: ${id}-other, gateway: ${id}, match: {path: {prefix: /other}}, to: [{service: other}]}`,
      `{kind: Policy, name: ${id}, target: {service: to-${id}}, ${settings(on)}}`,
    ];
  })].join('\n---\n'));
  const started: Variant[] = [];
  for (const [i, { name }] of variants.entries()) {
    const gateway = await startSidecar(['--gateway', name.toLowerCase(), '--control-plane', controlPlane.push], { bundled, core: gatewayCore, onLog: () => {} });
    ends.push(async () => {
      await stop(gateway.process);
      rmSync(gateway.folder, { recursive: true, force: true });
    });
    const port = ports[i] ?? 0;
    await until(`an answer with ${name}`, () => ask({ port, path }), ({ status }) => status === 200);
    started.push({ name, port, gateway, addedUs: [] });
  }
  return started;
}

function settings(on: readonly string[]): string {
  // Second tries are paid from the budget of retries, which is there where these are 0.
  const off = (name: string): string => (name === 'retry' && on.includes('hedging') ? 'retry: {retries: 0}' : `${name}: {enabled: false}`);
  return [...on.map((name) => `${name}: ${layers[name]}`), ...always.filter((name) => !on.includes(name)).map(off)].join(', ');
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}
