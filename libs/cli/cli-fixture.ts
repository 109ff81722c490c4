import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { runCli } from './program.ts';

/** One answer of the scripted control plane. */
export interface ScriptedAnswer {
  readonly status?: number;
  readonly type?: string;
  readonly body: unknown;
}

export type Script = Readonly<Record<string, ScriptedAnswer>>;

/** What a command line did: its outputs, its exit code, and what it asked. */
export interface CliRun {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
  /** `POST /v1/apply?wait=applied`, with the body behind it. */
  readonly requests: readonly string[];
}

export interface CliRunOptions {
  readonly script?: Script;
  readonly cwd?: string;
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly terminal?: boolean;
  readonly signal?: AbortSignal;
}

/** 2026-11-22T12:00:00Z: the instant of every run. */
export const runAtMs = Date.UTC(2026, 10, 22, 12);

/** Runs a command line against a server that answers by script: `GET /v1/sidecars` → answer. What is not in it gets 404. */
export async function runScripted(args: readonly string[], options: CliRunOptions = {}): Promise<CliRun> {
  const requests: string[] = [];
  const server = createServer((request, response) => void answer(request, response, { script: options.script ?? {}, requests }));
  const port = await listen(server);
  const address = `http://127.0.0.1:${port}`;
  let out = '';
  let err = '';
  try {
    const exitCode = await runCli(args, {
      out: (text) => { out += text; },
      err: (text) => { err += text; },
      outIsTerminal: options.terminal ?? false,
      errIsTerminal: false,
      columns: 100,
      env: { REMORA_SERVER: address, REMORA_AUTHOR: 'ana', ...options.env },
      cwd: options.cwd ?? import.meta.dirname,
      readStdin: () => Promise.resolve(Buffer.from(options.stdin ?? '')),
      signal: options.signal ?? new AbortController().signal,
      now: () => runAtMs,
    });
    return { exitCode, out: out.replaceAll(address, '<server>'), err: err.replaceAll(address, '<server>'), requests };
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => { server.close(resolve); });
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, world: { readonly script: Script; readonly requests: string[] }): Promise<void> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
  const target = `${request.method} ${decodeURIComponent(request.url ?? '')}`;
  world.requests.push(body === '' ? target : `${target}\n${body.trimEnd()}`);
  const found = world.script[target] ?? world.script[target.replace(/\?.*/, '')] ?? { status: 404, body: { title: 'There is no such thing', status: 404, code: 'not-found', detail: 'not in the script' } };
  const status = found.status ?? 200;
  const type = found.type ?? (status >= 400 ? 'application/problem+json' : 'application/json');
  response.writeHead(status, { 'content-type': type }).end(typeof found.body === 'string' ? found.body : JSON.stringify(found.body));
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** A run as a golden file shows it. */
export function goldenOf(args: readonly string[], run: CliRun): string {
  const requests = run.requests.length === 0 ? '' : `--- asked\n${run.requests.join('\n')}\n`;
  const err = run.err === '' ? '' : `--- standard error\n${run.err}`;
  return `$ remora ${args.join(' ')}\n${requests}--- standard output\n${run.out}${err}--- exit code ${run.exitCode}\n`;
}
