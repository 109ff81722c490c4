import { afterEach, describe, expect, test } from 'vitest';
import { seededRandom } from '@remora/core/random';
import { stop } from '../processes/child.ts';
import { ask, startTraffic, type Answer } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture, markPolicy, statusOf, twoServices, untilInSync } from './fixture.ts';

/** faults.md 12. REMORA_KILLS sets the number: 500 by hand, fewer in a run of everything. */
const kills = Number(process.env['REMORA_KILLS'] ?? 12);
const seed = Number(process.env['REMORA_SEED'] ?? 20261122);
const timeoutMs = 120_000 + kills * 5_000;

describe(`killed with -9 at random moments, ${kills} times each (seed ${seed})`, () => {
  let fixture = new Fixture();
  afterEach(async () => {
    await fixture.end();
    fixture = new Fixture();
  });

  test('the control plane keeps every acknowledged write and never uses a number twice; no request of a sidecar fails', { timeout: timeoutMs }, async () => {
    const random = seededRandom(seed);
    let controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`${twoServices}\n---\n${markPolicy(0)}`);
    const app = await fixture.app('orders');
    const sidecar = await fixture.sidecar(['--service', 'orders', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--no-outbound', '--log-level', 'error']);
    const port = sidecar.ports['inbound'] ?? sidecar.ports['inbound/http'] ?? 0;
    await until('an answer', () => ask({ port, path: '/' }), ({ headers }) => headers['x-mark'] === '0');
    const traffic = startTraffic({ port, path: '/', concurrency: 4, pauseMs: 5 });
    const backAfterMs: number[] = [];
    const [apiPort, pushPort] = [controlPlane.api, controlPlane.push].map((address) => Number(address.slice(address.lastIndexOf(':') + 1))) as [number, number];
    const acknowledged = new Map<number, number>();
    let mark = 0;
    for (let kill = 0; kill < kills; kill++) {
      const deadline = performance.now() + random.next() * 300;
      let running = true;
      const writer = (async () => {
        while (running) {
          mark += 1;
          const answer = await controlPlane.apply(markPolicy(mark)).catch(() => null);
          if (answer === null) return;
          const revision = revisionOf(answer);
          expect([...acknowledged.values()], 'a revision number was used twice').not.toContain(revision);
          acknowledged.set(mark, revision);
        }
      })();
      await until('the moment of the kill', () => performance.now(), (now) => now >= deadline);
      running = false;
      await stop(controlPlane.process);
      await writer;
      const stopped = performance.now();
      controlPlane = await fixture.controlPlane({ folder: controlPlane.folder, apiPort, pushPort });
      backAfterMs.push(performance.now() - stopped);
    }
    await untilInSync(controlPlane.api, 1);
    const answers = await traffic.stop();
    tell(`the control plane was back after ${quantiles(backAfterMs)}; ${answers.length} requests`);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(torn(answers)).toEqual([]);
    const newest = Math.max(...acknowledged.keys());
    // How many depends on how fast the machine is: kills come at moments of the clock.
    expect(acknowledged.size).toBeGreaterThan(0);
    const shown = await (await fetch(`${controlPlane.api}/v1/policies/mark`)).text();
    const stored = Number(/"x-mark":\s*"(\d+)"/.exec(shown)?.[1]);
    expect(stored).toBeGreaterThanOrEqual(newest);
    for (const revision of acknowledged.values()) {
      const entry = await fetch(`${controlPlane.api}/v1/revisions/${revision}`);
      expect(entry.status, `revision ${revision}`).toBe(200);
    }
  });

  test('a sidecar comes back from its disk every time; only what meets it dead fails', { timeout: timeoutMs }, async () => {
    const random = seededRandom(seed + 1);
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`${twoServices}\n---\n${markPolicy(0)}`);
    const app = await fixture.app('orders');
    const flags = ['--service', 'orders', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--no-outbound', '--log-level', 'error'];
    let sidecar = await fixture.sidecar([...flags, '--inbound', '0']);
    const port = sidecar.ports['inbound'] ?? sidecar.ports['inbound/http'] ?? 0;
    await until('an answer', () => ask({ port, path: '/' }), ({ headers }) => headers['x-mark'] === '0');
    // What never was on the disk cannot come back from it.
    await until('the first snapshot is on the disk', () => statusOf(sidecar), ({ config }) => (config as { readonly persisted: boolean }).persisted);
    const traffic = startTraffic({ port, path: '/', concurrency: 4, pauseMs: 10 });
    const backAfterMs: number[] = [];
    for (let kill = 0; kill < kills; kill++) {
      const answer = await until('an answer', () => ask({ port, path: '/' }), ({ status }) => status === 200);
      if (kill > 0) expect(Number(answer.headers['x-mark'])).toBeGreaterThanOrEqual(0);
      const deadline = performance.now() + random.next() * 200;
      const pushing = (async () => {
        for (let i = 0; performance.now() < deadline; i++) await controlPlane.apply(markPolicy(kill * 1000 + i));
      })();
      await until('the moment of the kill', () => performance.now(), (now) => now >= deadline);
      await stop(sidecar.process);
      await pushing;
      sidecar = await fixture.sidecar([...flags, '--inbound', String(port)], { folder: sidecar.folder });
      backAfterMs.push(sidecar.listeningAfterMs);
    }
    const last = kills * 1000;
    await controlPlane.apply(markPolicy(last));
    await until('the last mark', () => ask({ port, path: '/' }), ({ headers }) => headers['x-mark'] === String(last));
    const answers = await traffic.stop();
    const failures = answers.filter(({ status }) => status !== 200);
    tell(`a sidecar was back after ${quantiles(backAfterMs)}; ${answers.length} requests, ${failures.length} met it dead`);
    // No answer is a wrong one: requests end without any, because the process did.
    expect(failures.filter(({ status }) => status !== 0)).toEqual([]);
    expect(torn(answers)).toEqual([]);
  });
});

/** Answers that two snapshots made together. */
function torn(answers: readonly Answer[]): readonly Answer[] {
  return answers.filter(({ status, headers }) => status === 200 && (headers['x-mark'] === undefined || headers['x-mark'] !== headers['x-mark-again']));
}

function quantiles(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): string => `${Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)} ms`;
  return `${at(0.5)} (p50), ${at(0.99)} (p99)`;
}

/** Figures of runs by hand. */
function tell(text: string): void {
  if (kills > 12) process.stdout.write(`${text}\n`);
}

/** The write's answer names its revision. */
function revisionOf(answer: Record<string, unknown>): number {
  const number = (answer['revision'] as { readonly revision?: number } | null)?.revision;
  if (number === undefined) throw new Error(`no revision in ${JSON.stringify(answer).slice(0, 500)}`);
  return number;
}
