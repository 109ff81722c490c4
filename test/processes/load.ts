import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface LoadResult {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
}

/** One run of wrk on a core of its own. Answers other than 2xx and 3xx, and socket errors, count as errors. */
export async function wrk(options: { readonly url: string; readonly connections: number; readonly seconds: number; readonly core: number; readonly headers?: readonly string[]; readonly script?: string }): Promise<LoadResult> {
  const headers = (options.headers ?? []).flatMap((header) => ['-H', header]);
  const { stdout } = await run('taskset', ['-c', String(options.core), 'wrk', '-t1', `-c${options.connections}`, `-d${options.seconds}s`, '--latency', ...headers, ...(options.script === undefined ? [] : ['-s', options.script]), options.url], { maxBuffer: 1 << 20 });
  const number = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? 0);
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout)?.slice(1).reduce((sum, text) => sum + Number(text), 0) ?? 0;
  return {
    requests: number(/(\d+) requests in/),
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: milliseconds(/ 50%\s+([\d.]+)(us|ms|s)/.exec(stdout)),
    p99Ms: milliseconds(/ 99%\s+([\d.]+)(us|ms|s)/.exec(stdout)),
    errors: socketErrors + number(/Non-2xx or 3xx responses: (\d+)/),
  };
}

function milliseconds(match: RegExpExecArray | null): number {
  const scale = { us: 0.001, ms: 1, s: 1000 }[match?.[2] ?? 'ms'] ?? 1;
  return Number(match?.[1] ?? Number.NaN) * scale;
}

export interface H2loadOptions {
  readonly url: string;
  readonly connections: number;
  /** Requests at the same time on one connection. */
  readonly streams: number;
  readonly seconds: number;
  readonly core: number;
  /** HTTP/1.1 instead of HTTP/2. */
  readonly http1?: boolean;
  /** Requests per second of each connection; as fast as possible without it. */
  readonly ratePerConnection?: number;
  /** File of a request body; GET without it. */
  readonly body?: string;
  readonly headers?: readonly string[];
  /** File for a line per request: where quantiles come from. */
  readonly log: string;
}

/** One run of h2load on a core of its own; quantiles from its log of single requests. */
export async function h2load(options: H2loadOptions): Promise<LoadResult> {
  rmSync(options.log, { force: true });
  const flags = [
    `-c${options.connections}`, `-m${options.streams}`, '-t1', `-D${options.seconds}`, '--warm-up-time=0', `--log-file=${options.log}`,
    ...(options.http1 ? ['--h1'] : []), ...(options.ratePerConnection === undefined ? [] : [`--rps=${options.ratePerConnection}`]),
    ...(options.body === undefined ? [] : ['-d', options.body]), ...(options.headers ?? []).flatMap((header) => ['-H', header]),
  ];
  const { stdout } = await run('taskset', ['-c', String(options.core), 'h2load', ...flags, options.url], { maxBuffer: 1 << 20 });
  const counts = /(\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored/.exec(stdout);
  const bad = /status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx/.exec(stdout)?.slice(1).reduce((sum, text) => sum + Number(text), 0) ?? 0;
  const requests = Number(counts?.[4] ?? 0);
  const durations = readFileSync(options.log, 'utf8').split('\n').filter(Boolean).map((line) => Number(line.split('\t')[2]) / 1000).sort((a, b) => a - b);
  return {
    requests, perSecond: requests / options.seconds, p50Ms: durations[Math.floor(durations.length / 2)] ?? Number.NaN,
    p99Ms: durations[Math.floor(durations.length * 0.99)] ?? Number.NaN, errors: Number(counts?.[5] ?? 0) + bad,
  };
}
