import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { cpuMs, stop } from '../processes/child.ts';
import { startControlPlane } from '../processes/remora.ts';
import type { Bench } from './bench-document.ts';
import { describeMachine } from './machine.ts';

export const help = '  --sidecars N: callers (1000)\n  --bundled yes: dist/ instead of the sources\n  --quick: 10 changes instead of 50';

/**
 * An instance of one service comes and goes, as its sidecar says of its app, and 1,000 sidecars of 100 services call it: from the word of its sidecar until each caller
 * has confirmed its new endpoints. One whole control plane on one core, all sidecars on the other, which also bears what theirs would not.
 */
export const run: Bench = async ({ quick, flags }) => {
  const callers = Number(flags['sidecars'] ?? 1_000);
  const changes = quick ? 10 : 50;
  const controlPlane = await startControlPlane({ core: 0, bundled: flags['bundled'] !== undefined });
  try {
    await controlPlane.apply(documents());
    const worker = spawn('taskset', ['-c', '1', process.execPath, path.join(import.meta.dirname, 'endpoint-callers-worker.ts'), controlPlane.push, String(callers), String(changes)], { stdio: ['ignore', 'pipe', 'inherit'] });
    process.once('exit', () => worker.kill('SIGKILL'));
    const pid = controlPlane.process.pid ?? 0;
    let text = '';
    let cpuBefore = Number.NaN;
    worker.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      // Its first line: all are connected, and the changes begin.
      if (Number.isNaN(cpuBefore)) cpuBefore = cpuMs(pid);
    });
    const [code] = await once(worker, 'close') as [number | null];
    if (code !== 0) throw new Error(`the callers ended with ${code}`);
    const spentUs = (cpuMs(pid) - cpuBefore) * 1_000;
    const { tookMs, lastMs, violations, callersUs } = JSON.parse(text.slice(text.indexOf('\n'))) as { tookMs: number[]; lastMs: number[]; violations: string[]; callersUs: number };
    if (violations.length > 0 || tookMs.length !== callers * changes) throw new Error(`${tookMs.length} of ${callers * changes} confirmations; ${violations.join('; ')}`);
    const what = `an instance comes or goes: ${callers.toLocaleString('en')} callers have confirmed it`;
    const p99 = quantile(tookMs, 0.99);
    return {
      bench: 'endpoints', machine: describeMachine(), rows: [
        { what: `${what}, p50 over callers and ${changes} changes`, value: round(quantile(tookMs, 0.5)), unit: 'ms', bar: '', ok: null },
        { what: `${what}, p99 over callers and ${changes} changes`, value: round(p99), unit: 'ms', bar: 'p99 ≤ 200 ms', ok: p99 <= 200 },
        { what: `${what}, the last one, median of changes`, value: round(quantile(lastMs, 0.5)), unit: 'ms', bar: '', ok: null },
        { what: 'CPU of the control plane for each change and caller', value: round(spentUs / changes / callers), unit: 'µs', bar: '', ok: null, note: `of the process with all callers ${round(callersUs / changes / callers)} µs` },
      ],
    };
  } finally {
    await stop(controlPlane.process);
  }
};

function documents(): string {
  const callers = Array.from({ length: 100 }, (_, i) => `kind: Service\nname: c${i}\nports: {http: {port: 80}}\ndependsOn: [hot]\n`);
  return ['kind: Service\nname: hot\nports: {http: {port: 80}}\n', ...callers].join('---\n');
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
