import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { cpuMs, stop } from '../processes/child.ts';
import { startControlPlane, type RunningControlPlane } from '../processes/remora.ts';
import type { Bench, BenchRow } from './bench-document.ts';
import { describeMachine } from './machine.ts';
import { askMemory, type MemoryReport } from './memory-report.ts';

const services = 1_000;
/** As the unit file and the image have it. */
const deployedFlags = ['--max-semi-space-size=4', '--heap-growing-percent=40'];
const deployedEnvironment = { MALLOC_ARENA_MAX: '1' };

/**
 * A whole control plane on one core (SQLite, 1,000 services), and sidecars as real gRPC streams in another process on the
 * other: one edit to all, one edit to one, an edit that means the same, everybody back after a restart.
 */
export const run: Bench = async ({ quick, flags }) => {
  const counts = flags['sidecars'] === undefined ? [1_000, 5_000] : [Number(flags['sidecars'])];
  const rows: BenchRow[] = [];
  for (const count of counts) rows.push(...await withSidecars(count, quick ? 10 : 100, flags['bundled'] !== undefined));
  return { bench: 'push', machine: describeMachine(), rows };
};

async function withSidecars(count: number, edits: number, bundled: boolean): Promise<BenchRow[]> {
  const controlPlane = await startControlPlane({ core: 0, bundled, channel: true, env: deployedEnvironment, nodeFlags: [...deployedFlags, '--import', path.join(import.meta.dirname, 'memory-probe.ts')] });
  const clients = startClients();
  const name = count.toLocaleString('en');
  let running = controlPlane;
  try {
    await controlPlane.apply(documents());
    // The history that a few edits leave behind is not the sidecars' memory.
    for (let edit = 1; edit <= 3; edit++) await controlPlane.apply(marks('baseline', '{}', -edit));
    const before = await askMemory(controlPlane.process);
    const connected = await clients.ask('connect', { address: controlPlane.push, sidecars: count, services });
    const rows: BenchRow[] = [{ what: `${name} sidecars connect at once, nothing applied yet: all in sync`, value: seconds(connected['ms']), unit: 's', bar: '', ok: null }];
    const connectedMemory = await askMemory(controlPlane.process);
    const cpuBefore = cpuMs(controlPlane.process.pid ?? 0);
    rows.push(...await editAll(controlPlane, clients, { name, edits, barMs: count > 1_000 ? 1_000 : 250 }));
    const cpu = (cpuMs(controlPlane.process.pid ?? 0) - cpuBefore) * 1_000 / edits / count;
    rows.push({ what: `CPU of the control plane per edit and sidecar, all threads, ${name} connected`, value: round(cpu), unit: 'µs', bar: '', ok: null });
    rows.push(...memoryRows({ count, name, before, connected: connectedMemory, edited: await askMemory(controlPlane.process) }));
    rows.push(...await editOne(controlPlane, clients, name));
    const restarted = await restart(controlPlane, clients, name, bundled);
    running = restarted.controlPlane;
    return [...rows, ...restarted.rows];
  } finally {
    clients.end();
    await stop(running.process);
  }
}

interface Memory {
  readonly count: number;
  readonly name: string;
  /** Documents and a few edits, nobody connected. */
  readonly before: MemoryReport;
  readonly connected: MemoryReport;
  readonly edited: MemoryReport;
}

/** What came on top since nobody was connected. Garbage that V8 keeps for a while is resident too: told apart by a forced collection. */
function memoryRows({ count, name, before, connected, edited }: Memory): BenchRow[] {
  const resident = (now: number): number => (now - before.collected.residentBytes) / 1_024 / count;
  const barred = count >= 5_000;
  const kilobytes = resident(edited.residentBytes);
  const row = (what: string, value: number): BenchRow => ({ what: `${what}, ${name} connected`, value: round(value), unit: 'KB', bar: '', ok: null });
  return [
    { ...row('resident memory per sidecar after the edits', kilobytes), ...(barred ? { bar: '≤ 60 KB', ok: kilobytes <= 60 } : {}) },
    row('… after the edits and a forced collection', resident(edited.collected.residentBytes)),
    row('… of it JavaScript objects', (edited.collected.heapBytes - before.collected.heapBytes) / 1_024 / count),
    row('… before the edits, after a forced collection', resident(connected.collected.residentBytes)),
  ];
}

async function editAll(controlPlane: RunningControlPlane, clients: Clients, { name, edits, barMs }: { readonly name: string; readonly edits: number; readonly barMs: number }): Promise<BenchRow[]> {
  const last: number[] = [];
  for (let edit = 1; edit <= edits; edit++) {
    const answer = await controlPlane.apply(marks('baseline', '{}', edit), '?wait=applied&timeout=30s');
    const { counts, elapsedMs } = readEnforcement(answer);
    if (counts.applied !== counts.total) throw new Error(`edit ${edit} was not applied by all: ${JSON.stringify(answer).slice(0, 500)}`);
    last.push(elapsedMs);
  }
  const { violations, reconnects } = await clients.ask('counts') as { violations: string[]; reconnects: number };
  if (reconnects > 0) process.stderr.write(`${reconnects} connections of sidecars broke and were opened again: this machine is too busy for figures\n`);
  if (violations.length > 0) throw new Error(`sidecars saw violations of the protocol: ${violations.join('; ')}`);
  const p99 = quantile(last, 0.99);
  return [
    { what: `one edit to ${name} sidecars: committed → last ACK, p50 of ${edits}`, value: round(quantile(last, 0.5)), unit: 'ms', bar: '', ok: null },
    { what: `one edit to ${name} sidecars: committed → last ACK, p99 of ${edits}`, value: round(p99), unit: 'ms', bar: `p99 ≤ ${barMs} ms`, ok: p99 <= barMs },
  ];
}

async function editOne(controlPlane: RunningControlPlane, clients: Clients, name: string): Promise<BenchRow[]> {
  await clients.ask('reset');
  await controlPlane.apply(marks('one', '{service: s7}', 1), '?wait=applied&timeout=10s');
  const { byService } = await clients.ask('counts') as { byService: Record<string, { messages: number; bytes: number }> };
  const others = Object.entries(byService).filter(([service]) => service !== 's7');
  const bytes = others.reduce((sum, [, each]) => sum + each.bytes, 0);
  const messages = others.reduce((sum, [, each]) => sum + each.messages, 0);
  if ((byService['s7']?.bytes ?? 0) === 0) throw new Error('the edit did not reach the service it is for');
  await clients.ask('reset');
  await controlPlane.apply(marks('one', '{service: s7}', 1).replaceAll('{', '{ '), '?wait=applied&timeout=10s');
  const after = await clients.ask('counts') as { byService: Record<string, { bytes: number }> };
  const noop = Object.values(after.byService).reduce((sum, each) => sum + each.bytes, 0);
  return [
    { what: `edit of one service of ${services.toLocaleString('en')}, ${name} sidecars: bytes sent elsewhere`, value: bytes, unit: 'B', bar: '0', ok: bytes === 0 },
    { what: `edit of one service of ${services.toLocaleString('en')}, ${name} sidecars: messages sent elsewhere`, value: messages, unit: '', bar: '0', ok: messages === 0 },
    { what: `an edit that means the same, ${name} sidecars: bytes sent`, value: noop, unit: 'B', bar: '0', ok: noop === 0 },
  ];
}

/** Killed, started on the same data; then everybody connects in the same moment. */
async function restart(controlPlane: RunningControlPlane, clients: Clients, name: string, bundled: boolean): Promise<{ controlPlane: RunningControlPlane; rows: BenchRow[] }> {
  await stop(controlPlane.process);
  await clients.ask('drop');
  await clients.ask('reset');
  const started = performance.now();
  const next = await startControlPlane({ core: 0, bundled, env: deployedEnvironment, nodeFlags: deployedFlags, folder: controlPlane.folder, apiPort: portOf(controlPlane.api), pushPort: portOf(controlPlane.push) });
  const startMs = performance.now() - started;
  const connected = await clients.ask('connect', { address: next.push });
  const { byService } = await clients.ask('counts') as { byService: Record<string, { bytesMax: number }> };
  const most = Math.max(...Object.values(byService).map(({ bytesMax }) => bytesMax));
  const inSync = seconds(connected['ms']);
  const judged = name === '1,000';
  return {
    controlPlane: next,
    rows: [
      { what: `start of the control plane on its data, until it listens`, value: seconds(startMs), unit: 's', bar: '', ok: null },
      { what: `${name} reconnect at once after a restart: all in sync`, value: inSync, unit: 's', bar: judged ? '≤ 5 s' : '', ok: judged ? inSync <= 5 : null },
      { what: `${name} reconnect at once after a restart: message bytes to each, at most`, value: most, unit: 'B', bar: '≤ 300 B', ok: most <= 300 },
    ],
  };
}

interface Clients {
  ask(command: string, facts?: object): Promise<Record<string, unknown>>;
  end(): void;
}

function startClients(): Clients {
  const worker = path.join(import.meta.dirname, 'push-clients-worker.ts');
  const child: ChildProcess = spawn('taskset', ['-c', '1', process.execPath, '--max-old-space-size=8192', worker], { stdio: ['pipe', 'pipe', 'inherit'] });
  const open = new Map<number, (value: Record<string, unknown>) => void>();
  let id = 0;
  if (child.stdout) createInterface({ input: child.stdout }).on('line', (line) => {
    const value = JSON.parse(line) as Record<string, unknown>;
    open.get(Number(value['id']))?.(value);
  });
  process.once('exit', () => child.kill('SIGKILL'));
  return {
    ask(command, facts = {}) {
      id++;
      child.stdin?.write(`${JSON.stringify({ id, command, ...facts })}\n`);
      return new Promise((resolve, reject) => {
        open.set(id, resolve);
        child.once('exit', () => reject(new Error(`the clients ended during "${command}"`)));
      });
    },
    end: () => void child.kill('SIGKILL'),
  };
}

function documents(): string {
  const all = Array.from({ length: services }, (_, i) => `kind: Service\nname: s${i}\nports: {http: {port: 80, protocol: http}}\ndependsOn: [s${(i + 1) % services}, s${(i + 7) % services}]\n`);
  return all.join('---\n');
}

function marks(policy: string, target: string, mark: number): string {
  return `kind: Policy\nname: ${policy}\ntarget: ${target}\ntransform: {response: {headers: {set: {x-mark-${policy}: "${mark}"}}}}\n`;
}

function readEnforcement(answer: Record<string, unknown>): { counts: { total: number; applied: number }; elapsedMs: number } {
  const enforcement = answer['enforcement'] as { elapsedMs: number; counts: { total: number; applied: number } } | null;
  if (!enforcement || enforcement.counts.total === 0) throw new Error(`no sidecar was concerned: ${JSON.stringify(answer).slice(0, 500)}`);
  return enforcement;
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

function portOf(address: string): number {
  return Number(/:(\d+)$/.exec(address)?.[1] ?? 0);
}

function seconds(ms: unknown): number {
  return Math.round(Number(ms) / 10) / 100;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
