/** `bench store`: what the control plane's log costs on this disk. Every write is validated, planned and flushed to the disk. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { systemClock, systemTimers } from '@remora/core/clock';
import { systemRandom } from '@remora/core/random';
import { createControlPlane } from '@remora/control-plane/app';
import type { ControlPlane } from '@remora/control-plane/app';
import { createProcessLog } from '@remora/control-plane/process-log';
import { openSqliteStore } from '@remora/control-plane/store/sqlite-store';
import { loadDocuments } from '@remora/model/load-documents';
import { scratchFolder } from '@remora/testing/scratch-folder';
import type { Bench, BenchRow } from './bench-document.ts';
import { describeMachine } from './machine.ts';

const services = 100;

export const run: Bench = async ({ quick }) => {
  const folder = scratchFolder('bench-store');
  const rows: BenchRow[] = [];
  try {
    await withControlPlane(path.join(folder, 'writes'), async (controlPlane) => {
      await apply(controlPlane, serviceDocuments(services));
      rows.push(...(await durableWrites(controlPlane, quick ? 300 : 2_000)));
    });
    const documents = quick ? 2_000 : 10_000;
    await withControlPlane(path.join(folder, 'apply'), async (controlPlane) => {
      rows.push(...(await largeApply(controlPlane, documents)));
    });
    rows.push(await restart(path.join(folder, 'apply'), documents));
    return { bench: 'store', machine: describeMachine(), rows };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

async function durableWrites(controlPlane: ControlPlane, writes: number): Promise<BenchRow[]> {
  const times: number[] = [];
  const begin = performance.now();
  for (let n = 0; n < writes; n++) {
    const at = performance.now();
    await apply(controlPlane, `kind: Policy\nname: p${n % services}\ntarget: {service: s${n % services}}\ntimeout: {request: ${1 + (n % 50)}s}\nlabels: {n: n${n}}\n`);
    times.push(performance.now() - at);
  }
  const perSecond = writes / ((performance.now() - begin) / 1_000);
  times.sort((a, b) => a - b);
  return [
    { what: `durable writes of single documents, ${services} services`, value: Math.round(perSecond), unit: 'per s', bar: '≥ 300/s', ok: perSecond >= 300 },
    { what: 'one durable write, p50', value: round(times[Math.floor(times.length * 0.5)] ?? 0), unit: 'ms', bar: '', ok: null },
    { what: 'one durable write, p99', value: round(times[Math.floor(times.length * 0.99)] ?? 0), unit: 'ms', bar: '', ok: null },
  ];
}

async function largeApply(controlPlane: ControlPlane, documents: number): Promise<BenchRow[]> {
  const text = manyDocuments(documents);
  const cold = await timed(() => apply(controlPlane, text));
  const same = await timed(() => apply(controlPlane, text));
  const edits: number[] = [];
  for (let n = 0; n < 30; n++) edits.push(await timed(() => apply(controlPlane, `kind: Policy\nname: p7\ntarget: {service: s7}\ntimeout: {request: ${100 + n}s}\n`)));
  edits.sort((a, b) => a - b);
  const bar = documents === 10_000 ? { bar: '≤ 10 s', ok: cold <= 10_000 } : { bar: '≤ 10 s for 10,000', ok: cold * (10_000 / documents) <= 10_000 };
  return [
    { what: `apply of ${documents} documents (YAML, ${(text.length / 1e6).toFixed(1)} MB)`, value: round(cold / 1_000), unit: 's', ...bar },
    { what: 'the same again: nothing to write', value: round(same / 1_000), unit: 's', bar: '', ok: null },
    { what: 'then one edit of one policy, p50', value: round(edits[15] ?? 0), unit: 'ms', bar: '', ok: null },
  ];
}

async function restart(folder: string, documents: number): Promise<BenchRow> {
  const ms = await timed(() => withControlPlane(folder, async () => {}));
  return { what: `start with ${documents} documents: open, check, load, compile, publish`, value: round(ms / 1_000), unit: 's', bar: '', ok: null };
}

async function withControlPlane(folder: string, work: (controlPlane: ControlPlane) => Promise<void>): Promise<void> {
  const alarm = (error: unknown): void => {
    throw error;
  };
  const store = openSqliteStore({ path: path.join(folder, 'control-plane.db'), clock: systemClock, timers: systemTimers, alarm });
  const controlPlane = createControlPlane({
    store, clock: systemClock, timers: systemTimers, random: systemRandom, soon: setImmediate,
    log: createProcessLog({ level: 'warn', clock: systemClock, write: (line) => process.stderr.write(line) }), retention: { minAgeMs: 30 * 86_400_000, minEntries: 1_000 },
  });
  await controlPlane.start();
  try {
    await work(controlPlane);
  } finally {
    await controlPlane.stop();
  }
}

async function apply(controlPlane: ControlPlane, yaml: string): Promise<void> {
  const { documents, violations } = controlPlane.model.validateDocuments(loadDocuments([{ name: 'bench', bytes: yaml }]).documents);
  if (violations.length > 0) throw new Error(JSON.stringify(violations.slice(0, 5)));
  await controlPlane.writePath.write({ intent: { kind: 'apply', documents }, author: 'bench', message: '' });
}

function serviceDocuments(count: number): string {
  return Array.from({ length: count }, (_, n) => `---\nkind: Service\nname: s${n}\nports: {http: {port: 8080, protocol: http}}\n`).join('');
}

/** One service, eight routes and one policy, over and over. */
function manyDocuments(count: number): string {
  const parts: string[] = [];
  for (let n = 0; parts.length < count; n++) {
    parts.push(`kind: Service\nname: s${n}\nlabels: {team: t${n % 20}}\nports: {http: {port: 8080, protocol: http}}\n${n > 0 ? `dependsOn: [s${n - 1}]\n` : ''}`);
    for (let route = 0; route < 8; route++) parts.push(`kind: Route\nname: r${n}-${route}\nservice: s${n}\nmatch: {path: {prefix: /api/v${route}}}\nto: [{labels: {version: v1}, weight: 90}, {labels: {version: v2}, weight: 10}]\n`);
    parts.push(`kind: Policy\nname: p${n}\ntarget: {service: s${n}}\ntimeout: {request: ${1 + (n % 30)}s}\n`);
  }
  return parts.slice(0, count).join('---\n');
}

async function timed(work: () => Promise<void>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
