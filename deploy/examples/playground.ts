import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createServer, request } from 'node:http';
import type { IncomingHttpHeaders, RequestListener, Server } from 'node:http';
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** What the script of an example works with: apps, an embedded Remora on free ports, and the command line. */
export interface Playground {
  /** An app on a free port; without `handle` it answers with its name and what it was asked. */
  app(name: string, handle?: RequestListener): Promise<number>;
  /** A copy of a folder of documents that may be changed, with ports that the text names replaced by those in use. */
  copy(folder: string, ports: Readonly<Record<number, number>>): Promise<string>;
  replace(file: string, from: string, to: string): Promise<void>;
  /** `remora run -f folder --port 0 …`; the commands that follow talk to its API. */
  run(folder: string, args?: readonly string[]): Promise<number>;
  /** Shows and runs a command; fails unless it ends with this exit code. */
  remora(args: readonly string[], exitCode?: number): Promise<string>;
  get(port: number, target: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** Looks until it holds, for some seconds. */
  until<Value>(what: string, look: () => Promise<Value>, holds: (value: Value) => boolean): Promise<Value>;
  check(what: string, holds: boolean, actual: unknown): void;
  say(text: string): void;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

const command = path.resolve(import.meta.dirname, '../../libs/cli/bin/remora');
const patienceMs = 20_000;

/** Runs the script of an example and ends everything it started. Leaves the exit code: 0, or 1 naming what did not hold. */
export async function example(title: string, story: (playground: Playground) => Promise<void>): Promise<void> {
  const playground = new RunningPlayground();
  playground.say(title);
  process.on('exit', () => playground.killAll());
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  try {
    await story(playground);
    playground.say('everything holds');
  } catch (error) {
    process.stdout.write(`\nfailed: ${(error as Error).message}\n${playground.log()}`);
    process.exitCode = 1;
  } finally {
    await playground.end();
  }
}

class RunningPlayground implements Playground {
  readonly #servers: Server[] = [];
  readonly #children: ChildProcess[] = [];
  readonly #folders: string[] = [];
  readonly #log: string[] = [];
  #api = '';

  say(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  log(): string {
    return this.#log.map((line) => `  | ${line}\n`).join('');
  }

  check(what: string, holds: boolean, actual: unknown): void {
    if (!holds) throw new Error(`${what}; came: ${typeof actual === 'string' ? actual : JSON.stringify(actual)}`);
    this.say(`  ✓ ${what}`);
  }

  async app(name: string, handle: RequestListener = echo(name)): Promise<number> {
    const server = createServer(handle);
    this.#servers.push(server);
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async copy(folder: string, ports: Readonly<Record<number, number>>): Promise<string> {
    const target = await mkdtemp(path.join(tmpdir(), 'remora-example-'));
    this.#folders.push(target);
    await cp(folder, target, { recursive: true, filter: (file) => !file.endsWith('.ts') });
    for (const file of await readdir(target)) {
      for (const [from, to] of Object.entries(ports)) await this.replace(path.join(target, file), from, String(to));
    }
    return target;
  }

  async replace(file: string, from: string, to: string): Promise<void> {
    await writeFile(file, (await readFile(file, 'utf8')).replaceAll(from, to));
  }

  async run(folder: string, args: readonly string[] = []): Promise<number> {
    const all = ['run', '-f', folder, '--port', '0', ...args];
    this.say(`\n$ remora ${all.join(' ')}`);
    const child = spawn(process.execPath, [command, ...all, '-o', 'json'], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', (line) => this.#log.push(line));
    const listening = await firstEvent(child, (line) => this.#log.push(line));
    this.#api = String(listening['api']);
    const door = Object.entries(listening).find(([name]) => /^(?:inbound|gateway)\b/.test(name))?.[1];
    const port = Number(/(\d+)$/.exec(String(door))?.[1]);
    this.say(`ready on port ${port}, API on ${this.#api}`);
    return port;
  }

  async remora(args: readonly string[], exitCode = 0): Promise<string> {
    this.say(`\n$ remora ${args.join(' ')}`);
    const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, REMORA_SERVER: this.#api, NO_COLOR: '1' }, timeout: 60_000, killSignal: 'SIGKILL' });
    this.#children.push(child);
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (part: string) => { text += part; });
    const code = await new Promise<number>((resolve) => { child.once('close', (ended) => resolve(ended ?? -1)); });
    process.stdout.write(text);
    if (code !== exitCode) throw new Error(`remora ${args.join(' ')} ended with exit code ${code}, expected ${exitCode}`);
    return text;
  }

  get(port: number, target: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: target, headers, timeout: patienceMs, agent: false }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => { text += part; });
        answer.on('error', reject);
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
      })
        .on('timeout', function expire(this: { destroy(error: Error): void }) { this.destroy(new Error(`GET ${target}: no answer`)); })
        .on('error', reject)
        .end();
    });
  }

  async until<Value>(what: string, look: () => Promise<Value>, holds: (value: Value) => boolean): Promise<Value> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const value = await look();
      if (holds(value)) return value;
      if (performance.now() > deadline) throw new Error(`${what} within ${patienceMs / 1_000} s; came: ${JSON.stringify(value)}`);
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
  }

  killAll(): void {
    for (const child of this.#children) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }

  async end(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((resolve) => { child.once('close', resolve); });
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
      await gone;
      clearTimeout(timer);
    }
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
    for (const folder of this.#folders) await rm(folder, { recursive: true, force: true });
  }
}

function echo(name: string): RequestListener {
  return (incoming, answer) => {
    answer.writeHead(200, { 'content-type': 'application/json', server: 'app' });
    answer.end(JSON.stringify({ app: name, method: incoming.method, path: incoming.url, headers: incoming.headers }));
  };
}

function firstEvent(child: ChildProcess, onLine: (line: string) => void): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('remora run did not say where it listens')), patienceMs);
    child.once('close', (code) => reject(new Error(`remora run ended with code ${code}`)));
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on('line', (line) => {
      onLine(line);
      if (!line.includes('"event":"listening"')) return;
      clearTimeout(timer);
      resolve(JSON.parse(line) as Record<string, unknown>);
    });
  });
}
