import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from '@remora/testing/free-port';
import { seededRandom } from '@remora/core/random';
import type { JsonObject } from '@remora/core/canonical-json';
import { effectiveSection } from '@remora/testing/effective-section';
import { makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { ManualClock } from '@remora/testing/manual-clock';
import { describeWith } from '@remora/testing/requirement';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { emptyDecision } from './algorithm.ts';
import { rateLimitAuthoring } from './compile.ts';
import { rateLimitRuntime } from './filter.ts';
import { createGcra } from './gcra.ts';

/**
 * One trace of arrivals through nginx's `limit_req` and through ours. nginx counts in whole milliseconds of its own clock:
 * its log says when each request came, and the same times are played to our filter. A trace in which a millisecond would
 * have decided is drawn again.
 */
const requestsPerSecond = 10;
const burst = 4;
const get = { request: { method: 'GET', authority: 'orders', target: '/' } };

interface Arrival {
  readonly atMs: number;
  readonly refused: boolean;
}

describeWith('nginx', 'nginx limit_req and rateLimit', (nginx) => {
  let folder = '';
  let port = 0;
  let child: ChildProcess;

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'remora-limit-req-'));
    port = await freePort();
    writeFileSync(path.join(folder, 'nginx.conf'), configuration(folder, port));
    for (const name of ['body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) mkdirSync(path.join(folder, name));
    writeFileSync(path.join(folder, 'index.txt'), 'ok');
    child = spawn(nginx, ['-c', path.join(folder, 'nginx.conf'), '-e', path.join(folder, 'error.log')], { stdio: 'ignore' });
    await vi.waitFor(() => fetchStatus(port, '/index.txt'), { timeout: 30_000 });
  });

  afterAll(async () => {
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([
    { name: 'tokenBucket agrees with nodelay', location: 'nodelay', limit: { algorithm: 'tokenBucket', requests: requestsPerSecond, per: '1s', burst: burst + 1 } },
    { name: 'leakyBucket agrees with delays', location: 'delay', limit: { algorithm: 'leakyBucket', requests: requestsPerSecond, per: '1s', burst } },
  ])('$name', async ({ location, limit }) => {
    const trace = await drawClearTrace(port, folder, location);
    expect(trace.filter((arrival) => arrival.refused).length).toBeGreaterThan(8);
    expect(trace.filter((arrival) => !arrival.refused).length).toBeGreaterThan(8);
    expect(ours(trace, limit)).toEqual(trace.map((arrival) => arrival.refused));
  }, 120_000);
});

function ours(trace: readonly Arrival[], limit: JsonObject): boolean[] {
  const clock = new ManualClock();
  const context = new TestFilterContext('rateLimit', { clock });
  const body = rateLimitAuthoring.compile(effectiveSection(rateLimitAuthoring, { limits: { whole: limit } })).body;
  const filter = rateLimitRuntime.edge?.(rateLimitRuntime.decode(body), context) ?? { kind: 'rateLimit' };
  const startMs = clock.monotonicMs() - (trace[0]?.atMs ?? 0);
  return trace.map(({ atMs }) => {
    clock.advance(startMs + atMs - clock.monotonicMs());
    // What waits is let go by timers of its own; the verdict is all that matters here.
    const verdict = filter.request?.(makeExchange(get, context)) ?? null;
    return verdict !== null && typeof verdict !== 'symbol';
  });
}

/** Eight at a time, with keys of their own: most have a millisecond that decides. */
async function drawClearTrace(port: number, folder: string, location: string): Promise<Arrival[]> {
  for (let round = 0; round < 20; round += 1) {
    const traces = await Promise.all(Array.from({ length: 8 }, (_, nth) => drawTrace({ port, folder, location, seed: round * 8 + nth + 1 })));
    const clear = traces.find(isClear);
    if (clear !== undefined) return clear;
  }
  throw new Error('160 traces came within a millisecond of a decision');
}

/** Bursts and pauses, about two seconds long. */
async function drawTrace({ port, folder, location, seed }: { port: number; folder: string; location: string; seed: number }): Promise<Arrival[]> {
  const random = seededRandom(seed);
  const pending: Promise<unknown>[] = [];
  const startedAt = performance.now();
  let dueAt = 0;
  for (let i = 0; i < 45; i += 1) {
    dueAt += random.next() < 0.5 ? random.next() * 8 : 30 + random.next() * 90;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, startedAt + dueAt - performance.now())));
    pending.push(fetchStatus(port, `/${location}/index.txt?k=${location}${seed}`));
  }
  await Promise.all(pending);
  const lines = (): Arrival[] => readArrivals(path.join(folder, 'access.log'), `${location}${seed}`);
  await expect.poll(() => lines().length, { timeout: 30_000 }).toBe(45);
  return lines();
}

/** Lines are written when a request ends; it came `request_time` earlier. */
function readArrivals(file: string, key: string): Arrival[] {
  const lines = readFileSync(file, 'utf8').split('\n').filter((line) => line.startsWith(`${key} `));
  return lines.map((line) => {
    const [, ended = '', took = '', status = ''] = line.split(' ');
    return { atMs: Math.round((Number(ended) - Number(took)) * 1000), refused: status === '429' };
  }).sort((a, b) => a.atMs - b.atMs || Number(a.refused) - Number(b.refused));
}

/** Whether no verdict would change if a request had come two milliseconds earlier or later. */
function isClear(trace: readonly Arrival[]): boolean {
  const algorithm = createGcra({ requests: requestsPerSecond, perMs: 1000, burst: burst + 1, cost: 1, queue: false });
  const cells = new Float64Array(3);
  const out = emptyDecision();
  return trace.every(({ atMs }) => {
    const verdicts = [atMs - 2, atMs + 2].map((time) => {
      algorithm.decide(cells, 0, time, false, out);
      return out.allowed;
    });
    algorithm.decide(cells, 0, atMs, true, out);
    return verdicts.every((allowed) => allowed === out.allowed);
  });
}

function configuration(folder: string, port: number): string {
  const limited = (name: string, options: string): string =>
    `location /${name}/ { alias ${folder}/; limit_req zone=keys burst=${burst}${options}; limit_req_status 429; }`;
  return `daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 256; }
http {
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  log_format arrivals '$arg_k $msec $request_time $status';
  access_log ${folder}/access.log arrivals;
  limit_req_zone $arg_k zone=keys:1m rate=${requestsPerSecond}r/s;
  server { listen 127.0.0.1:${port}; ${limited('nodelay', ' nodelay')} ${limited('delay', '')} location / { root ${folder}; } }
}
`;
}

function fetchStatus(port: number, target: string): Promise<number> {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path: target, agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    }).on('error', reject);
  });
}
