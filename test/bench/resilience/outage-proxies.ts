import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '@remora/testing/free-port';
import { scratchFolder } from '@remora/testing/scratch-folder';
import { programPath } from '@remora/testing/requirement';
import { startPinned, stop, untilListening } from '../../processes/child.ts';
import { startControlPlane, startSidecar } from '../../processes/remora.ts';
import { ask } from '../../processes/traffic.ts';
import { until } from '../../processes/until.ts';
import { outageEnvoy } from './outage-envoy.ts';
import { modes, type HostPorts, type Mode } from './outage-modes.ts';

/** One proxy with a way `/MODE` for each mode. */
export interface OutageProxy {
  readonly name: string;
  readonly port: number;
  /** Attempts beyond the first so far. */
  retries(mode: Mode): Promise<number>;
  /** Wall time at which the instance was taken out, or passed over as one that cannot be connected, after `since`; null: it was not. */
  takenOutAt(mode: Mode, port: number, since: number): Promise<number | null>;
}

type Ends = (() => Promise<void> | void)[];

/** As long as an ejection lasts, in every mode and proxy. */
export const ejectionMs = 5_000;

const outlier = 'outlierDetection: {consecutive5xx: 5, consecutiveLocalFailures: 5, interval: 1s, baseEjection: 5s, maxEjected: 10%}';
/** Of `defaults` only what makes ejections short enough to be seen to end; the detectors are as they are. */
const policies = (): string => `
{kind: Policy, name: plain, target: {service: plain}, timeout: {request: 1s}, retry: {retries: 0}, ${outlier}}
---
{kind: Policy, name: retries, target: {service: retries}, timeout: {request: 15s, perTry: 500ms}, retry: {retries: 2, retryOn: [connect-failure, reset, gateway-error], budget: {ratio: 20%}}, ${outlier}}
---
{kind: Policy, name: defaults, target: {service: defaults}, outlierDetection: {interval: 1s, baseEjection: 5s}}`;

export async function startOutageRemora(hosts: HostPorts, bundled: boolean, ends: Ends): Promise<OutageProxy> {
  const controlPlane = await startControlPlane({ bundled, flags: ['--store', 'memory'], onLog: () => {} });
  ends.push(async () => {
    await stop(controlPlane.process);
    rmSync(controlPlane.folder, { recursive: true, force: true });
  });
  const documents = modes.map((mode) => `{kind: Service, name: ${mode}, ports: {http: {port: 80, protocol: http}}, endpoints: [${hosts[mode].map((port) => `{address: 127.0.0.1, port: ${port}}`).join(', ')}]}
---
{kind: Route, name: ${mode}, gateway: edge, match: {path: {prefix: /${mode}}}, to: [{service: ${mode}}]}`);
  await controlPlane.apply(['{kind: Gateway, name: edge, listeners: {plain: {port: 0}}}', ...documents, policies()].join('\n---\n'));
  const gateway = await startSidecar(['--gateway', 'edge', '--control-plane', controlPlane.push], { bundled, onLog: () => {} });
  ends.push(async () => {
    await stop(gateway.process);
    rmSync(gateway.folder, { recursive: true, force: true });
  });
  const admin = `http://127.0.0.1:${gateway.ports['admin']}`;
  const port = await until('the gateway listens', () => listenerPort(admin), (found) => found > 0);
  for (const mode of modes) await until(`an answer of /${mode}`, () => ask({ port, path: `/${mode}` }), ({ status }) => status === 200);
  return {
    name: 'remora', port,
    retries: async (mode) => sumOf(await (await fetch(`${admin}/metrics`)).text(), /^remora_retries_total\{([^}]*)\} (\d+)/gm, `"${mode}"`),
    takenOutAt: async (_mode, host, since) => (await ejectedAt(admin, host, since)) ?? (await passedOverAt(admin, host)),
  };
}

interface Troubles { readonly events: readonly { readonly event: string; readonly host: string; readonly sinceMs: number; readonly untilMs: number }[] }

/** The event's end is exact, its beginning is when the control thread heard of it. */
async function ejectedAt(admin: string, port: number, since: number): Promise<number | null> {
  const { events } = (await (await fetch(`${admin}/troubles?limit=500`)).json()) as Troubles;
  const first = events.findLast(({ event, host, sinceMs }) => event === 'ejected' && host === `127.0.0.1:${port}` && sinceMs >= since);
  return first === undefined ? null : first.untilMs - ejectionMs;
}

interface State { readonly dataPlane: { readonly threads: readonly { readonly pools: readonly { readonly address: string; readonly down: boolean }[] }[] } }

async function passedOverAt(admin: string, port: number): Promise<number | null> {
  const response = await fetch(`${admin}/state`);
  // A data thread that is too busy to tell is asked again.
  if (!response.ok) return null;
  const { dataPlane } = (await response.json()) as State;
  return dataPlane.threads.some(({ pools }) => pools.some(({ address, down }) => down && address === `127.0.0.1:${port}`)) ? Date.now() : null;
}

async function listenerPort(admin: string): Promise<number> {
  const status = (await (await fetch(`${admin}/status`)).json()) as { readonly listeners: readonly { readonly name: string; readonly port: number }[] };
  return status.listeners.find(({ name }) => name === 'gateway/plain')?.port ?? 0;
}

/** Null where Envoy is not installed. */
export async function startOutageEnvoy(hosts: HostPorts, ends: Ends): Promise<OutageProxy | null> {
  const command = programPath('envoy');
  if (command === null) return null;
  const folder = scratchFolder('outage-envoy');
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const [port, admin, log] = [await freePort(), await freePort(), path.join(folder, 'outliers.log')];
  writeFileSync(path.join(folder, 'envoy.json'), JSON.stringify(outageEnvoy({ port, admin, log, hosts, ejectionMs })));
  const child = startPinned(null, [command, '-c', path.join(folder, 'envoy.json'), '--concurrency', '1', '--log-level', 'error', '--disable-hot-restart', '--file-flush-interval-msec', '20']);
  ends.push(() => stop(child));
  await untilListening(port, 30_000);
  for (const mode of modes) await until(`an answer of /${mode}`, () => ask({ port, path: `/${mode}` }), ({ status }) => status === 200);
  return {
    name: 'envoy', port,
    retries: async (mode) => sumOf(await (await fetch(`http://127.0.0.1:${admin}/stats?filter=upstream_rq_retry$`)).text(), /^(cluster\.\S+\.upstream_rq_retry): (\d+)/gm, `.${mode}.`),
    takenOutAt: (_mode, host, since) => Promise.resolve(loggedEjection(log, host, since)),
  };
}

/** The log has one line of JSON for each ejection and return. */
function loggedEjection(log: string, port: number, since: number): number | null {
  for (const line of readFileSync(log, 'utf8').split('\n').filter(Boolean)) {
    const { action, upstream_url: url, timestamp } = JSON.parse(line) as { readonly action?: string; readonly upstream_url: string; readonly timestamp: string };
    // 0, the ejection, is not written.
    if ((action ?? 'EJECT') === 'EJECT' && url === `127.0.0.1:${port}` && Date.parse(timestamp) >= since) return Date.parse(timestamp);
  }
  return null;
}

function sumOf(text: string, pattern: RegExp, having: string): number {
  let sum = 0;
  for (const [, labels = '', value] of text.matchAll(pattern)) if (labels.includes(having)) sum += Number(value);
  return sum;
}
