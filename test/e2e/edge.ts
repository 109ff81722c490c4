import { readdirSync } from 'node:fs';
import { residentMiB } from '../processes/child.ts';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { ask, type Answer } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { untilInSync, type Fixture } from './fixture.ts';

/** A gateway `edge` in front of the service `orders`, whose instances are at the given ports of this machine. */
export interface Edge {
  readonly controlPlane: RunningControlPlane;
  readonly gateway: RunningSidecar;
  readonly port: number;
  /** Applies documents; resolves when the gateway enforces them. */
  apply(yaml: string): Promise<void>;
}

export interface EdgeOptions {
  readonly upstreams: readonly number[];
  readonly flags?: readonly string[];
  /** Further documents. */
  readonly documents?: string;
  /** Of the gateway's data. */
  readonly folder?: string;
  /** Flags for Node itself. */
  readonly nodeFlags?: readonly string[];
  /** Runs the gateway through another command, such as one that sets limits. */
  readonly wrap?: (command: readonly string[]) => readonly string[];
}

export function ordersAt(ports: readonly number[]): string {
  return `{kind: Service, name: orders, ports: {http: {port: 80}}, endpoints: [${ports.map((port) => `{address: 127.0.0.1, port: ${port}}`).join(', ')}]}`;
}

export async function startEdge(fixture: Fixture, options: EdgeOptions): Promise<Edge> {
  const controlPlane = await fixture.controlPlane();
  await controlPlane.apply([
    '{kind: Gateway, name: edge, listeners: {plain: {port: 0}}}',
    ordersAt(options.upstreams),
    '{kind: Route, name: all, gateway: edge, match: {path: {prefix: /}}, to: [{service: orders}]}',
    ...(options.documents === undefined ? [] : [options.documents]),
  ].join('\n---\n'));
  const gateway = await fixture.sidecar(['--gateway', 'edge', '--control-plane', controlPlane.push, ...(options.flags ?? [])], {
    ...(options.folder !== undefined && { folder: options.folder }), ...(options.wrap && { wrap: options.wrap }), ...(options.nodeFlags && { nodeFlags: options.nodeFlags }),
  });
  // A port is bound before the data threads go over to what is to be enforced there, each for itself.
  await untilInSync(controlPlane.api, 1);
  const port = await until('the gateway listens', () => gatewayPort(gateway), (found) => found > 0);
  return {
    controlPlane, gateway, port,
    async apply(yaml) {
      const answer = JSON.stringify(await controlPlane.apply(yaml, '?wait=applied&timeout=60s'));
      if (answer.includes('"timedOut":true') || answer.includes('"refused":[{')) throw new Error(`not enforced: ${answer.slice(0, 1000)}`);
    },
  };
}

interface Listener { readonly name: string; readonly port: number }

async function gatewayPort(gateway: RunningSidecar): Promise<number> {
  const status = await (await fetch(`http://127.0.0.1:${gateway.ports['admin']}/status`)).json() as { readonly listeners: readonly Listener[] };
  return status.listeners.find(({ name }) => name === 'gateway/plain')?.port ?? 0;
}

/** What a data thread tells of itself on `/state`. */
export interface ThreadState {
  readonly connections: number;
  readonly timers: number;
  readonly tunnels: { readonly count: number };
  readonly overload: { readonly stage: number; readonly cause: string };
  readonly counters: Readonly<Record<string, number>>;
  readonly listeners: readonly { readonly name: string; readonly connections: number; readonly accepted: number; readonly refused: number }[];
  readonly pools: readonly { readonly address: string; readonly active: number; readonly open: number; readonly idle: number; readonly waiting: number; readonly down: boolean }[];
  readonly snapshot: { readonly version: string; readonly hash: string } | null;
}

export async function threadsOf(gateway: RunningSidecar): Promise<readonly ThreadState[]> {
  const state = await (await fetch(`http://127.0.0.1:${gateway.ports['admin']}/state`)).json() as { readonly dataPlane: { readonly threads: readonly ThreadState[] } };
  return state.dataPlane.threads;
}

/** Nothing is under way any more: no client connections, no active calls, nobody waiting. Idle connections to upstreams may stay. */
export async function untilQuiet(gateway: RunningSidecar, deadlineMs = 30_000): Promise<void> {
  await until('the gateway is quiet', () => threadsOf(gateway), (threads) => threads.length > 0 && threads.every(({ connections, pools }) =>
    connections === 0 && pools.every(({ active, open, idle, waiting }) => active === 0 && waiting === 0 && open === idle)), deadlineMs);
}

/** Files and sockets that a process holds. */
export function descriptorsOf(running: RunningSidecar): number {
  return readdirSync(`/proc/${running.process.pid}/fd`).length;
}

export function residentOf(running: RunningSidecar): number {
  return residentMiB(running.process.pid ?? 0);
}

/** A clean request succeeds. */
export async function cleanRequest(port: number, path = '/clean'): Promise<Answer> {
  const answer = await ask({ port, path, headers: { connection: 'close' } });
  if (answer.status !== 200) throw new Error(`a clean request got ${answer.status} ${answer.error} ${answer.body.slice(0, 500)}`);
  return answer;
}
