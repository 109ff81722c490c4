import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { rmSync } from 'node:fs';
import { freePort } from '@remora/testing/free-port';
import { stop } from '../processes/child.ts';
import { ask } from '../processes/traffic.ts';
import { startControlPlane, startSidecar, type RunningControlPlane, type RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { baseDocuments, editOnce, lookAround } from './churn.ts';
import { startClients } from './clients.ts';
import { ProcessProbe, type ProcessReading } from './process-probe.ts';
import { trendOf, type Allowance, type Point, type Trend } from './verdict.ts';

export interface SoakOptions {
  readonly minutes: number;
  readonly editsPerSecond: number;
  readonly pauseMs: number;
  /** Runs the bundles in `dist/` instead of the sources. */
  readonly bundled: boolean;
  readonly say: (line: string) => void;
}

export interface SoakVerdict {
  readonly ok: boolean;
  readonly trends: readonly Trend[];
  readonly edits: number;
  readonly answered: number;
  readonly failed: number;
  /** By reason. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly refused: number;
  readonly broken: number;
}

/**
 * faults.md 14: routes, endpoints and connections come and go on a control plane and two sidecars (a gateway, and one beside a service), real processes all; what each
 * of them holds must not grow. Rings and histories are filled before the first reading.
 */
export async function soak(options: SoakOptions): Promise<SoakVerdict> {
  const mesh = await Mesh.start(options);
  try {
    return await measure(mesh, options);
  } finally {
    await mesh.end();
  }
}

/** Rings keep 1,000 refusals, histories 1,000 revisions, sidecars' statuses a few hundred entries. */
const warmUpEdits = 540;
const readingsMin = 20;

async function measure(mesh: Mesh, { minutes, editsPerSecond, pauseMs, say }: SoakOptions): Promise<SoakVerdict> {
  let round = 0;
  for (; round < warmUpEdits; round++) await editOnce(mesh.controlPlane, round, mesh.appPort);
  await refuseMany(mesh.gatewayPort);
  const clients = startClients({ gateway: mesh.gatewayPort, outbound: mesh.outboundPort, pauseMs });
  let running = true;
  const edits = (async () => {
    while (running) {
      await Promise.all([editOnce(mesh.controlPlane, round++, mesh.appPort), pause(1_000 / editsPerSecond)]);
      if (round % 10 === 0) await lookAround(mesh.controlPlane, mesh.adminPorts);
    }
  })();
  const everyMs = Math.max(1_500, (minutes * 60_000) / 120);
  // Pools, arenas and compiled code settle first.
  await pause(Math.min(60_000, minutes * 60_000 / 5));
  const readings: { readonly atMs: number; readonly processes: ReadonlyMap<string, ProcessReading> }[] = [];
  const endAt = performance.now() + minutes * 60_000;
  while (performance.now() < endAt || readings.length < readingsMin) {
    readings.push({ atMs: performance.now(), processes: await mesh.read() });
    if (readings.length % 10 === 0) say(progressText(readings.at(-1)?.processes ?? new Map(), clients.counts, round));
    await pause(everyMs);
  }
  running = false;
  await edits;
  await clients.stop();
  const trends = trendsOf(readings, minutes < settledMinutes ? 2.5 : 1);
  const { answered, failed, refused, broken } = clients.counts;
  // Endpoints that refuse connections are part of the churn, but retries hide them.
  const unexpected = failed - shedBy(clients.reasons);
  return {
    ok: trends.every((trend) => trend.ok) && unexpected <= answered * 0.001,
    trends, edits: round - warmUpEdits, answered, failed, reasons: Object.fromEntries(clients.reasons), refused, broken,
  };
}

/** A machine that others starve sheds load, requests first and then connections at accept: that is no failure here. */
function shedBy(reasons: ReadonlyMap<string, number>): number {
  const overload = reasons.get('overload') ?? 0;
  return overload === 0 ? 0 : overload + (reasons.get('read ECONNRESET') ?? 0) + (reasons.get('socket hang up') ?? 0);
}

async function refuseMany(port: number): Promise<void> {
  for (let batch = 0; batch < 30; batch++) await Promise.all(Array.from({ length: 50 }, () => ask({ port, path: '/refused' })));
}

function progressText(processes: ReadonlyMap<string, ProcessReading>, counts: object, round: number): string {
  const parts = [...processes].map(([name, { residentMiB, descriptors, threads }]) =>
    `${name} ${residentMiB.toFixed(0)} MiB, heaps ${threads.map(({ heapMiB }) => heapMiB.toFixed(1)).join('+')}, ${descriptors} descriptors`);
  return `${parts.join('; ')}; ${round} edits, ${JSON.stringify(counts)}`;
}

/** Shorter runs see how code is compiled and figures of the last minutes fill their places: heaps may grow by more. */
const settledMinutes = 5;

/** Growth that one run cannot tell from noise. Connections are open at the moment of a reading, or not. */
const allowances: Readonly<Record<string, Allowance>> = {
  resident: { absolute: 12, share: 0.06 },
  heap: { absolute: 1, share: 0.02 },
  external: { absolute: 0.5, share: 0.03 },
  descriptors: { absolute: 6, share: 0 },
  handles: { absolute: 6, share: 0 },
  timers: { absolute: 4, share: 0 },
};

function trendsOf(readings: readonly { readonly atMs: number; readonly processes: ReadonlyMap<string, ProcessReading> }[], heapLatitude: number): Trend[] {
  const series = new Map<string, { readonly kind: string; readonly points: Point[] }>();
  const add = (what: string, kind: string, atMs: number, value: number): void => {
    const one = series.get(`${what}, ${kind}`) ?? { kind, points: [] };
    one.points.push({ atMs, value });
    series.set(`${what}, ${kind}`, one);
  };
  for (const { atMs, processes } of readings) {
    for (const [name, { residentMiB, descriptors, threads }] of processes) {
      add(name, 'resident', atMs, residentMiB);
      add(name, 'descriptors', atMs, descriptors);
      for (const thread of threads) {
        add(`${name} ${thread.name}`, 'heap', atMs, thread.heapMiB);
        add(`${name} ${thread.name}`, 'external', atMs, thread.externalMiB);
        add(`${name} ${thread.name}`, 'handles', atMs, thread.handles);
        add(`${name} ${thread.name}`, 'timers', atMs, thread.timers);
      }
    }
  }
  return [...series].map(([what, { kind, points }]) => trendOf(what, points, allowanceFor(kind, heapLatitude)));
}

function allowanceFor(kind: string, heapLatitude: number): Allowance {
  const { absolute, share } = allowances[kind] ?? { absolute: 0, share: 0 };
  return kind === 'heap' || kind === 'external' ? { absolute: absolute * heapLatitude, share: share * heapLatitude } : { absolute, share };
}

/** The processes, and what reads them. */
class Mesh {
  readonly controlPlane: RunningControlPlane;
  readonly appPort: number;
  gatewayPort = 0;
  outboundPort = 0;
  readonly #app: ReturnType<typeof createServer>;
  readonly #sidecars: RunningSidecar[] = [];
  readonly #probes = new Map<string, ProcessProbe>();

  static async start({ bundled }: SoakOptions): Promise<Mesh> {
    const app = createServer((request, response) => {
      request.resume();
      setTimeout(() => response.end('ok'), request.url?.startsWith('/slow') === true ? 200 : 0);
    });
    await new Promise<void>((resolve) => { app.listen(0, resolve); });
    const inspectors = [await freePort(), await freePort(), await freePort()];
    const flagsFor = (nth: number): string[] => [`--inspect=127.0.0.1:${inspectors[nth]}`, '--inspect-publish-uid=http'];
    const controlPlane = await startControlPlane({ bundled, nodeFlags: flagsFor(0) });
    const mesh = new Mesh(app, controlPlane);
    try {
      await controlPlane.apply(baseDocuments(mesh.appPort));
      const common = ['--control-plane', controlPlane.push, '--telemetry-interval', '1s', '--log-level', 'error'];
      mesh.#sidecars.push(await startSidecar(['--gateway', 'edge', ...common], { bundled, nodeFlags: flagsFor(1) }));
      mesh.#sidecars.push(await startSidecar(['--service', 'orders', '--app', `127.0.0.1:${mesh.appPort}`, '--inbound', '0', '--outbound', '0', ...common], { bundled, nodeFlags: flagsFor(2) }));
      await mesh.#findPorts();
      for (const [nth, [name, { pid = 0 }]] of mesh.#processes().entries()) mesh.#probes.set(name, await ProcessProbe.attach(pid, inspectors[nth] ?? 0));
      return mesh;
    } catch (error) {
      await mesh.end();
      throw error;
    }
  }

  private constructor(app: ReturnType<typeof createServer>, controlPlane: RunningControlPlane) {
    this.#app = app;
    this.controlPlane = controlPlane;
    this.appPort = (app.address() as AddressInfo).port;
  }

  #processes(): (readonly [string, RunningControlPlane['process']])[] {
    return [['control plane', this.controlPlane.process], ...this.#sidecars.map(({ process }, i) => [i === 0 ? 'gateway' : 'sidecar', process] as const)];
  }

  get adminPorts(): readonly number[] {
    return this.#sidecars.map(({ ports }) => ports['admin'] ?? 0);
  }

  async #findPorts(): Promise<void> {
    const [gateway, sidecar] = this.#sidecars;
    this.outboundPort = sidecar?.ports['outbound'] ?? 0;
    const listening = await until('the gateway listens', async () => {
      const { listeners } = await (await fetch(`http://127.0.0.1:${gateway?.ports['admin']}/status`)).json() as { readonly listeners: readonly { readonly name: string; readonly port: number }[] };
      return listeners.find(({ name }) => name === 'gateway/plain')?.port ?? 0;
    }, (port) => port > 0);
    this.gatewayPort = listening;
    await until('the first answer', () => ask({ port: listening, path: '/' }), ({ status }) => status === 200);
    await until('the first call', () => ask({ port: this.outboundPort, path: '/', host: 'pool' }), ({ status }) => status === 200);
  }

  async read(): Promise<ReadonlyMap<string, ProcessReading>> {
    const readings = new Map<string, ProcessReading>();
    for (const [name, probe] of this.#probes) readings.set(name, await probe.read());
    return readings;
  }

  async end(): Promise<void> {
    for (const probe of this.#probes.values()) probe.close();
    for (const [, process] of this.#processes()) await stop(process);
    this.#app.closeAllConnections();
    this.#app.close();
    for (const { folder } of [this.controlPlane, ...this.#sidecars]) rmSync(folder, { recursive: true, force: true });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}
