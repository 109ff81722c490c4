import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { seededRandom } from '@remora/core/random';
import { Agent, request } from 'undici';
import { expect, test } from 'vitest';

const main = join(import.meta.dirname, '../main.ts');
/** REMORA_KILLS=500 runs the long version. */
const kills = Number(process.env['REMORA_KILLS'] ?? 12);
const seed = Number(process.env['REMORA_SEED'] ?? Date.now() % 1_000_000);

interface Running {
  readonly child: ChildProcess;
  readonly api: string;
  readonly startMs: number;
}

async function start(folder: string): Promise<Running> {
  const begin = performance.now();
  const child = spawn(process.execPath, [main, '--data-dir', folder, '--api-auth', 'off', '--api-port', '0', '--push-port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) {
    const facts = JSON.parse(line) as { readonly event: string; readonly api: string };
    if (facts.event === 'listening') return { child, api: `http://${facts.api}`, startMs: ranForMs(child.pid ?? 0) ?? performance.now() - begin };
  }
  throw new Error(`the control plane ended with ${String(child.exitCode)} before it listened`);
}

/** Processor time of a process, which says what a start takes however busy the machine is; null where the system does not tell. */
function ranForMs(pid: number): number | null {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return null;
  // proc(5): utime and stime are fields 14 and 15, in hundredths of a second; the name before them is in parentheses.
  const fields = readFileSync(file, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

interface Acknowledged {
  readonly revision: number;
  readonly name: string;
  readonly value: number;
}

/** Writes until the process is gone; answers what it acknowledged. */
async function writeUntilKilled(running: Running, writer: number, round: number, acknowledged: Acknowledged[]): Promise<void> {
  const agent = new Agent({ pipelining: 1, connections: 1 });
  try {
    for (let n = 0; ; n++) {
      const name = `s${writer}`;
      const value = round * 1_000_000 + n;
      const document = { kind: 'Service', name, labels: { value: `v${value}` }, ports: { http: { port: 8080, protocol: 'http' } } };
      const answer = await request(`${running.api}/v1/apply`, { method: 'POST', dispatcher: agent, headers: { 'content-type': 'application/json' }, body: JSON.stringify(document) });
      const body = (await answer.body.json()) as { readonly revision: { readonly revision: number } | null };
      if (answer.statusCode !== 200) throw new Error(`refused: ${JSON.stringify(body)}`);
      if (body.revision) acknowledged.push({ revision: body.revision.revision, name, value });
    }
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('refused')) throw error;
  } finally {
    await agent.destroy();
  }
}

test(`killed ${kills} times while it writes: every acknowledged write is there, no number is used twice, it starts each time (seed ${seed})`, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'remora-kill-'));
  const random = seededRandom(seed);
  const acknowledged: Acknowledged[] = [];
  const starts: number[] = [];
  let last: Running | null = null;
  try {
    for (let round = 0; round < kills; round++) {
      const running = (last = await start(folder));
      starts.push(running.startMs);
      expect(running.startMs).toBeGreaterThan(0);
      const writers = [0, 1, 2].map((writer) => writeUntilKilled(running, writer, round, acknowledged));
      // At a random moment of the log, not of the clock: the more writes, the more places to die at.
      const until = acknowledged.length + 5 + Math.floor(random.next() * 60);
      await expect.poll(() => acknowledged.length, { timeout: 60_000, interval: 1 }).toBeGreaterThanOrEqual(until);
      running.child.kill('SIGKILL');
      await once(running.child, 'exit');
      await Promise.all(writers);
    }
    const running = (last = await start(folder));
    const revisions = new Map<number, { readonly documents: readonly { readonly document: string }[] }>();
    for (let before = ''; ;) {
      const page = (await (await fetch(`${running.api}/v1/revisions?limit=1000${before}`)).json()) as { items: { revision: number; documents: { document: string }[] }[]; next: string | null };
      for (const item of page.items) {
        expect(revisions.has(item.revision)).toBe(false);
        revisions.set(item.revision, item);
      }
      if (page.next === null) break;
      before = `&before=${page.next}`;
    }
    expect(new Set(acknowledged.map(({ revision }) => revision)).size).toBe(acknowledged.length);
    for (const { revision, name } of acknowledged) expect(revisions.get(revision)?.documents.map(({ document }) => document), `revision ${revision}`).toContain(`Service/${name}`);
    for (const writer of [0, 1, 2]) {
      const newest = acknowledged.filter(({ name }) => name === `s${writer}`).at(-1);
      const now = (await (await fetch(`${running.api}/v1/services/s${writer}`)).json()) as { labels: { value: string } };
      // The write under way at a kill may have been made without its answer.
      expect(Number(now.labels.value.slice(1))).toBeGreaterThanOrEqual(newest?.value ?? 0);
    }
    expect(Math.max(...starts)).toBeLessThan(10_000);
    running.child.kill('SIGTERM');
    expect(await once(running.child, 'exit')).toEqual([0, null]);
  } finally {
    last?.child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000 + kills * 15_000);
