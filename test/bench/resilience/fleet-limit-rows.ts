import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { RedisServer } from '@remora/testing/redis-server';
import { programPath } from '@remora/testing/requirement';
import { scratchFolder } from '@remora/testing/scratch-folder';
import type { BenchRow } from '../bench-document.ts';
import { stop } from '../../processes/child.ts';
import { FaultProxy } from '../../processes/fault-proxy.ts';
import { h2load } from '../../processes/load.ts';
import { startControlPlane, startSidecar, type RunningSidecar } from '../../processes/remora.ts';
import { ask } from '../../processes/traffic.ts';
import { until } from '../../processes/until.ts';

const sidecars = 4;
const connections = 10;
/** Before a load is looked at: what the buckets held is used up then. */
const warmUpSeconds = 3;

export interface FleetLimitOptions {
  readonly bundled: boolean;
  readonly seconds: number;
}

interface Fleet {
  readonly proxy: FaultProxy;
  readonly ports: readonly number[];
  apply(yaml: string): Promise<void>;
  /** Sums of what the sidecars counted. */
  events(): Promise<Readonly<Record<string, number>>>;
  /** The same load on each sidecar: requests per second over all, and what became of each. */
  load(perSecond: number, seconds: number): Promise<Load>;
}

interface Load {
  readonly answers: readonly Answered[];
  /** When the last of the loads began. */
  readonly from: number;
}

interface Answered {
  /** Unix milliseconds. */
  readonly at: number;
  readonly status: number;
  readonly elapsedMs: number;
}

/** Limits over four gateways that count in one Redis: how exact, how many questions, and what a Redis in a black hole costs. */
export async function fleetLimitRows({ bundled, seconds }: FleetLimitOptions): Promise<BenchRow[]> {
  const command = programPath('redis-server');
  if (command === null || programPath('h2load') === null) return [{ what: 'limits of the fleet', value: Number.NaN, unit: '', bar: '', ok: null, note: 'needs redis-server and h2load' }];
  const ends: (() => Promise<void> | void)[] = [];
  try {
    const fleet = await startFleet(command, bundled, ends);
    return [...(await steadyRows(fleet, seconds)), await exactRow(fleet), ...(await blackHoleRows(fleet, seconds))];
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

async function steadyRows(fleet: Fleet, seconds: number): Promise<BenchRow[]> {
  const limit = 5_000;
  // Windows of whole seconds: what a bucket held, or gathered while the machine did something else, is not in the figure.
  await fleet.apply(limitPolicy(`{algorithm: fixedWindow, requests: ${limit}, per: 1s, sharedBy: fleet}`));
  const before = await fleet.events();
  const load = await fleet.load(2 * limit, warmUpSeconds + seconds);
  const asked = questions(await fleet.events()) - questions(before);
  const looked = within({ ...load, from: Math.ceil(load.from / 1_000) * 1_000 }, warmUpSeconds * 1_000, (seconds - 1) * 1_000);
  const share = looked.filter(({ status }) => status === 200).length / (limit * (seconds - 1));
  return [
    { what: `limit of 5,000/s over 4, ${Math.round(looked.length / (seconds - 1))}/s come: admitted`, value: round(share * 100, 1), unit: '%', bar: '98 to 102 %', ok: share >= 0.98 && share <= 1.02 },
    { what: 'the same: questions to Redis for each request', value: round((asked / load.answers.length) * 100, 2), unit: '%', bar: '≤ 5 %', ok: asked / load.answers.length <= 0.05 },
  ];
}

async function exactRow(fleet: Fleet): Promise<BenchRow> {
  // All at once, on a machine that does everything else too: what is looked at is the count.
  await fleet.apply(mesh(fleet.proxy.port, '1s'));
  await fleet.apply(limitPolicy('{algorithm: slidingWindow, requests: 100, per: 1m, sharedBy: fleet, onStoreFailure: closed}'));
  const answers = await Promise.all(Array.from({ length: 600 }, (_, i) => ask({ port: fleet.ports[i % sidecars] ?? 0, path: '/', headers: { connection: 'close' } })));
  await fleet.apply(mesh(fleet.proxy.port, '10ms'));
  const admitted = answers.filter(({ status }) => status === 200).length;
  const others = answers.filter(({ status }) => status !== 200 && status !== 429).length;
  return { what: 'limit of 100/min over 4, 600 come at once: admitted', value: admitted, unit: '', bar: 'exactly 100', ok: admitted === 100 && others === 0 };
}

async function blackHoleRows(fleet: Fleet, seconds: number): Promise<BenchRow[]> {
  const limit = 1_500;
  const load = 2_000;
  await fleet.apply(limitPolicy(`{requests: ${limit}, per: 1s, sharedBy: fleet}`));
  const before = p99(within(await fleet.load(load, warmUpSeconds + seconds), warmUpSeconds * 1_000, seconds * 1_000));
  const running = fleet.load(load, warmUpSeconds + 2 * seconds);
  await new Promise((resolve) => { setTimeout(resolve, warmUpSeconds * 1_000); });
  // From one moment to the next, while requests are under way.
  fleet.proxy.fault = 'black-hole';
  const loaded = await running;
  fleet.proxy.fault = 'none';
  const added = p99(within(loaded, warmUpSeconds * 1_000 - 200, seconds * 1_000)) - before;
  const share = within(loaded, (warmUpSeconds + 1) * 1_000, seconds * 1_000).filter(({ status }) => status === 200).length / (limit * seconds);
  return [
    { what: `Redis falls into a black hole under ${load}/s: added p99`, value: round(added, 2), unit: 'ms', bar: '≤ 5 ms', ok: added <= 5, note: `p99 ${round(before, 2)} ms before` },
    { what: 'the same, degrade: admitted of 1,500/s', value: round(share * 100, 1), unit: '%', bar: '80 to 120 %', ok: share >= 0.8 && share <= 1.2 },
  ];
}

async function startFleet(command: string, bundled: boolean, ends: (() => Promise<void> | void)[]): Promise<Fleet> {
  const redis = await RedisServer.start({ command });
  ends.push(() => redis.kill());
  const proxy = await FaultProxy.start(redis.port);
  ends.push(() => proxy.close());
  const folder = scratchFolder('fleet-limits');
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const controlPlane = await startControlPlane({ bundled });
  ends.push(() => stop(controlPlane.process));
  await controlPlane.apply([
    '{kind: Gateway, name: edge, listeners: {plain: {port: 0}}}',
    '{kind: Route, name: all, gateway: edge, match: {path: {prefix: /}}, respond: {status: 200}}',
    mesh(proxy.port, '10ms'),
    limitPolicy('{requests: 1000, per: 1s, sharedBy: fleet}'),
  ].join('\n---\n'));
  const members = await Promise.all(Array.from({ length: sidecars }, () => startSidecar(['--gateway', 'edge', '--control-plane', controlPlane.push], { bundled, onLog: () => {} })));
  ends.push(async () => {
    for (const member of members) await stop(member.process);
  });
  const ports = await Promise.all(members.map((member) => until('the gateway listens', () => listenerPort(member), (port) => port > 0)));
  return {
    proxy, ports,
    async apply(yaml) {
      await controlPlane.apply(yaml, '?wait=applied&timeout=10s');
    },
    events: () => eventsOf(members),
    async load(perSecond, seconds) {
      const logs = await Promise.all(ports.map(async (port, i) => {
        const log = path.join(folder, `load-${i}`);
        await h2load({ url: `http://127.0.0.1:${port}/`, connections, streams: 1, seconds, core: i % 2, http1: true, ratePerConnection: perSecond / sidecars / connections, log });
        return log;
      }));
      const read = logs.map(readLog);
      return { answers: read.flat(), from: Math.max(...read.map(([first]) => first?.at ?? 0)) };
    },
  };
}

/** A line per request: when it was sent, its status, and how long it took, in microseconds. */
function readLog(log: string): Answered[] {
  return readFileSync(log, 'utf8').split('\n').filter(Boolean).map((line) => {
    const [at, status, elapsed] = line.split('\t').map(Number);
    return { at: (at ?? 0) / 1_000, status: status ?? 0, elapsedMs: (elapsed ?? 0) / 1_000 };
  });
}

/** What was answered from `afterMs` on, counted from when all loads ran. */
function within({ answers, from }: Load, afterMs: number, spanMs: number): readonly Answered[] {
  const startMs = from + afterMs;
  return answers.filter(({ at, elapsedMs }) => at + elapsedMs >= startMs && at + elapsedMs < startMs + spanMs);
}

function p99(answers: readonly Answered[]): number {
  const sorted = answers.map(({ elapsedMs }) => elapsedMs).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;
}

function mesh(port: number, deadline: string): string {
  return `{kind: Mesh, name: mesh, stores: {redis: {address: "127.0.0.1:${port}", allowPrivateAddresses: true, deadline: ${deadline}}}}`;
}

function limitPolicy(limit: string): string {
  return `{kind: Policy, name: limit, target: {gateway: edge}, rateLimit: {headerStyle: none, limits: {whole: ${limit}}}}`;
}

async function listenerPort(member: RunningSidecar): Promise<number> {
  const status = await (await fetch(`http://127.0.0.1:${member.ports['admin']}/status`)).json() as { readonly listeners: readonly { readonly name: string; readonly port: number }[] };
  return status.listeners.find(({ name }) => name === 'gateway/plain')?.port ?? 0;
}

async function eventsOf(members: readonly RunningSidecar[]): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  for (const member of members) {
    const text = await (await fetch(`http://127.0.0.1:${member.ports['admin']}/metrics`)).text();
    for (const [, event = '', value] of text.matchAll(/remora_policy_events_total\{[^}]*kind="rateLimit"[^}]*event="([a-z_]+)"[^}]*\} (\d+)/g)) counts[event] = (counts[event] ?? 0) + Number(value);
  }
  return counts;
}

function questions(events: Readonly<Record<string, number>>): number {
  return (events['store_asked'] ?? 0) + (events['store_asked_ahead'] ?? 0);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
