import { execFile } from 'node:child_process';
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
export async function wrk(options: { readonly url: string; readonly connections: number; readonly seconds: number; readonly core: number; readonly headers?: readonly string[] }): Promise<LoadResult> {
  const headers = (options.headers ?? []).flatMap((header) => ['-H', header]);
  const { stdout } = await run('taskset', ['-c', String(options.core), 'wrk', '-t1', `-c${options.connections}`, `-d${options.seconds}s`, '--latency', ...headers, options.url], { maxBuffer: 1 << 20 });
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
