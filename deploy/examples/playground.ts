import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
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
  /** `remora control-plane` with identity on: a fleet whose sidecars join by tokens. The commands that follow talk to its API. */
  controlPlane(args?: readonly string[]): Promise<void>;
  /** `remora sidecar …`, with a join token of its own; answers the ports that it bound, by name: `inbound`, `outbound`, `admin`, `gateway/plain`. */
  sidecar(plan: SidecarPlan): Promise<ReadonlyMap<string, number>>;
  /** Shows and runs a command; fails unless it ends with this exit code. `secret`: its standard output is answered alone, and not shown. */
  remora(args: readonly string[], exitCode?: number, options?: { readonly secret?: boolean }): Promise<string>;
  get(port: number, target: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** Looks until it holds, for some seconds. */
  until<Value>(what: string, look: () => Promise<Value>, holds: (value: Value) => boolean): Promise<Value>;
  check(what: string, holds: boolean, actual: unknown): void;
  say(text: string): void;
}

export interface SidecarPlan {
  /** `--service NAME` or `--gateway NAME`. */
  readonly subject: readonly ['--service' | '--gateway', string];
  /** Node id. */
  readonly name: string;
  readonly args: readonly string[];
  /** false: it does not join, and has no certificate. */
  readonly joins?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

const command = path.resolve(import.meta.dirname, '../../libs/cli/bin/remora');
const patienceMs = 60_000;

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
  #push = '';
  #enrolment = '';

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
    const target = await this.#folder();
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
    const listening = await this.#start(['run', '-f', folder, '--port', '0', ...args], ['-o', 'json'], {});
    this.#api = String(listening['api']);
    const door = Object.entries(listening).find(([name]) => /^(?:inbound|gateway)\b/.test(name))?.[1];
    const port = Number(/(\d+)$/.exec(String(door))?.[1]);
    this.say(`ready on port ${port}, API on ${this.#api}`);
    return port;
  }

  async controlPlane(args: readonly string[] = []): Promise<void> {
    const folder = await this.#folder();
    const key = path.join(folder, 'encryption-key');
    await writeFile(key, randomBytes(32).toString('base64'), { mode: 0o600 });
    const ports = ['--api-port', '0', '--push-port', '0', '--enrolment-port', '0'];
    const listening = await this.#start(['control-plane', '--api-auth', 'off', '--identity', 'mtls', '--encryption-key-file', key, '--data-dir', path.join(folder, 'data'), ...ports, ...args], [], {});
    this.#api = `http://${String(listening['api'])}`;
    this.#push = String(listening['push']);
    this.#enrolment = String(listening['enrolment']);
  }

  async sidecar({ subject, name, args, joins = true }: SidecarPlan): Promise<ReadonlyMap<string, number>> {
    const token = joins ? (await this.remora(['token', 'create', ...subject], 0, { secret: true })).trim() : '';
    const identity = joins ? ['--identity', 'mtls', '--enrolment', this.#enrolment] : [];
    const listening = await this.#start(
      ['sidecar', ...subject, '--node-id', name, '--control-plane', this.#push, ...identity, '--data-dir', await this.#folder(), '--admin-port', '0', '--telemetry-interval', '1s', ...args], [],
      joins ? { REMORA_JOIN_TOKEN: token } : {},
    );
    return new Map(Object.entries(listening).map(([port, address]) => [port, Number(/(\d+)$/.exec(String(address))?.[1])]));
  }

  /** Starts a command that stays; answers the line that says where it listens. */
  async #start(shown: readonly string[], hidden: readonly string[], env: Readonly<Record<string, string>>): Promise<Record<string, unknown>> {
    this.say(`\n$ remora ${shown.join(' ')}`);
    const child = spawn(process.execPath, [command, ...shown, ...hidden], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.#children.push(child);
    if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', (line) => this.#log.push(line));
    return firstEvent(child, (line) => this.#log.push(line), `remora ${shown[0] ?? ''}`);
  }

  async #folder(): Promise<string> {
    const folder = await mkdtemp(path.join(tmpdir(), 'remora-example-'));
    this.#folders.push(folder);
    return folder;
  }

  async remora(args: readonly string[], exitCode = 0, { secret = false } = {}): Promise<string> {
    this.say(`\n$ remora ${args.join(' ')}`);
    const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, REMORA_SERVER: this.#api, NO_COLOR: '1' }, timeout: 60_000, killSignal: 'SIGKILL' });
    this.#children.push(child);
    let text = '';
    let told = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => { text += part; });
    child.stderr.setEncoding('utf8').on('data', (part: string) => { told += part; });
    const code = await new Promise<number>((resolve) => { child.once('close', (ended) => resolve(ended ?? -1)); });
    process.stdout.write(secret ? told : text + told);
    if (code !== exitCode) throw new Error(`remora ${args.join(' ')} ended with exit code ${code}, expected ${exitCode}`);
    return secret ? text : text + told;
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

function firstEvent(child: ChildProcess, onLine: (line: string) => void, what: string): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what} did not say where it listens`)), patienceMs);
    child.once('close', (code) => reject(new Error(`${what} ended with code ${code}`)));
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on('line', (line) => {
      onLine(line);
      if (!line.includes('"event":"listening"')) return;
      clearTimeout(timer);
      resolve(JSON.parse(line) as Record<string, unknown>);
    });
  });
}
