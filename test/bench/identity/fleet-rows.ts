import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { cpuMs, stop } from '../../processes/child.ts';
import { startControlPlane, type RunningControlPlane } from '../../processes/remora.ts';
import { until } from '../../processes/until.ts';
import type { BenchRow } from '../bench-document.ts';
import { askMemory } from '../memory-report.ts';

const services = 10;
const deployed = { env: { MALLOC_ARENA_MAX: '1' }, nodeFlags: ['--max-semi-space-size=4', '--heap-growing-percent=40', '--import', path.join(import.meta.dirname, '../memory-probe.ts')] };

interface Counts {
  readonly ms: number;
  readonly renewed: number;
  readonly renewalsFailed: number;
  readonly reconnects: number;
  readonly rejected: number;
  readonly violations: readonly string[];
}

/** A whole control plane on one core with an authority of its own; sidecars with certificates on the other: they connect by mutual TLS at once, and the authority rolls under edits. */
export async function fleetRows(spec: { readonly sidecars: number; readonly bundled: boolean; readonly windowSeconds: number }): Promise<BenchRow[]> {
  const secrets = mkdtempSync(path.join(tmpdir(), 'remora-bench-fleet-'));
  writeFileSync(path.join(secrets, 'key'), randomBytes(32).toString('base64'), { mode: 0o600 });
  const controlPlane = await startControlPlane({ core: 0, channel: true, bundled: spec.bundled, ...deployed, flags: ['--identity', 'mtls', '--enrolment-port', '0', '--log-level', 'error', '--encryption-key-file', path.join(secrets, 'key')] });
  const fleet = startFleet();
  try {
    return [...(await connectRows(controlPlane, fleet, spec.sidecars)), ...(await rollRows(controlPlane, fleet, spec))];
  } finally {
    fleet.end();
    await stop(controlPlane.process);
    rmSync(controlPlane.folder, { recursive: true, force: true });
    rmSync(secrets, { recursive: true, force: true });
  }
}

async function connectRows(controlPlane: RunningControlPlane, fleet: Fleet, sidecars: number): Promise<BenchRow[]> {
  const { api, push, enrolment } = controlPlane;
  await controlPlane.apply(Array.from({ length: services }, (_, i) => `kind: Service\nname: s${i}\nports: {http: {port: 80, protocol: http}}\ndependsOn: [s${(i + 1) % services}]\n`).join('---\n'));
  const { roots, trustDomain } = await call<{ roots: { pem: string }[]; trustDomain: string }>(api, 'GET', '/v1/identity/ca');
  const each = Math.ceil(sidecars / services);
  const tokens: Record<string, string> = {};
  for (let i = 0; i < services; i++) tokens[`s${i}`] = (await call<{ token: string }>(api, 'POST', '/v1/identity/tokens', { service: `s${i}`, uses: each })).token;
  const joined = await fleet.ask('join', { push, enrolment, roots: roots.map((root) => root.pem).join(''), trustDomain, tokens, each });
  const before = await askMemory(controlPlane.process);
  const cpuBefore = cpuMs(controlPlane.process.pid ?? 0);
  const connected = await fleet.ask('connect', {});
  const cpu = cpuMs(controlPlane.process.pid ?? 0) - cpuBefore;
  const memory = await askMemory(controlPlane.process);
  const count = each * services;
  const name = count.toLocaleString('en');
  const kilobytes = (memory.residentBytes - before.collected.residentBytes) / 1_024 / count;
  const seconds = Math.round(connected.ms / 10) / 100;
  return [
    { what: `${name} sidecars join by tokens, one after the other by sixteen`, value: Math.round(joined.ms / 10) / 100, unit: 's', bar: '', ok: null },
    { what: `${name} sidecars connect by mTLS at once: all in sync`, value: seconds, unit: 's', bar: '≤ 15 s', ok: seconds <= 15 && connected.violations.length === 0 },
    { what: '… CPU of the control plane, per sidecar', value: Math.round(cpu / count * 100) / 100, unit: 'ms', bar: '', ok: null },
    { what: '… resident memory of the control plane, per sidecar', value: Math.round(kilobytes), unit: 'KB', bar: '≤ 120 KB', ok: kilobytes <= 120 },
    { what: '… after a forced collection', value: Math.round((memory.collected.residentBytes - before.collected.residentBytes) / 1_024 / count), unit: 'KB', bar: '', ok: null },
  ];
}

async function rollRows(controlPlane: RunningControlPlane, fleet: Fleet, { sidecars, windowSeconds }: { readonly sidecars: number; readonly windowSeconds: number }): Promise<BenchRow[]> {
  const { api, process: child } = controlPlane;
  const where = '/v1/identity/ca/rotation';
  const status = (): Promise<{ total: number; holdBundle: number; ofSigner: number; stage: string }> => call(api, 'GET', where);
  const cpuBefore = cpuMs(child.pid ?? 0);
  const started = performance.now();
  await call(api, 'POST', where, { action: 'start', window: `${windowSeconds}s` });
  await until('all hold the new root', status, ({ holdBundle, total }) => holdBundle === total, 60_000);
  await call(api, 'POST', where, { action: 'next' });
  // An edit to everybody each second, all the while.
  let refused = 0;
  let edits = 0;
  const rolled = async (): Promise<boolean> => {
    const { holdBundle, ofSigner, total } = await status();
    return holdBundle === total && ofSigner === total;
  };
  while (!(await rolled()) && performance.now() - started < 120_000) {
    const answer = await controlPlane.apply(`kind: Policy\nname: mark\ntarget: {}\ntransform: {response: {headers: {set: {x-mark: "${++edits}"}}}}\n`, '?wait=applied&timeout=5s');
    await pause(1_000);
    refused += (answer['enforcement'] as { counts: { refused: number } } | null)?.counts.refused ?? 0;
  }
  await call(api, 'POST', where, { action: 'next' });
  const seconds = (performance.now() - started) / 1_000;
  const { renewed, renewalsFailed, rejected, violations } = await fleet.ask('counts', {});
  const inSync = await until('everybody is in sync', async () => (await call<{ total?: number; items: { phase: string }[] }>(api, 'GET', '/v1/sidecars?limit=1000&phase=in-sync')).items.length, (count) => count >= Math.min(1_000, sidecars), 30_000);
  const failed = refused + renewalsFailed + rejected + violations.length;
  const name = sidecars.toLocaleString('en');
  return [
    { what: `${name} sidecars roll to another root within ${windowSeconds} s, under ${edits} edits to all: pushes and renewals that failed`, value: failed, unit: '', bar: '0', ok: failed === 0 && renewed >= sidecars && inSync >= Math.min(1_000, sidecars) },
    { what: '… all stages together', value: Math.round(seconds * 10) / 10, unit: 's', bar: '', ok: null },
    { what: '… CPU of the control plane, per sidecar (edits too)', value: Math.round((cpuMs(child.pid ?? 0) - cpuBefore) / sidecars * 100) / 100, unit: 'ms', bar: '', ok: null },
  ];
}

async function call<T>(api: string, method: string, where: string, body?: object): Promise<T> {
  const answer = await fetch(`${api}${where}`, { method, headers: { 'content-type': 'application/json' }, ...(body && { body: JSON.stringify(body) }) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${where} answered ${answer.status}: ${text.slice(0, 500)}`);
  return JSON.parse(text) as T;
}

interface Fleet {
  ask(command: 'join' | 'connect' | 'counts', facts: object): Promise<Counts>;
  end(): void;
}

function startFleet(): Fleet {
  const child = spawn('taskset', ['-c', '1', process.execPath, path.join(import.meta.dirname, 'fleet-worker.ts')], { stdio: ['pipe', 'pipe', 'inherit'] });
  const open = new Map<number, (value: Counts) => void>();
  let id = 0;
  createInterface({ input: child.stdout }).on('line', (line) => {
    const value = JSON.parse(line) as Counts & { readonly id: number };
    open.get(value.id)?.(value);
  });
  process.once('exit', () => child.kill('SIGKILL'));
  return {
    ask(command, facts) {
      const asked = ++id;
      child.stdin.write(`${JSON.stringify({ id: asked, command, ...facts })}\n`);
      return new Promise((resolve, reject) => {
        open.set(asked, resolve);
        child.once('exit', () => reject(new Error(`the fleet ended during "${command}"`)));
      });
    },
    end: () => void child.kill('SIGKILL'),
  };
}
