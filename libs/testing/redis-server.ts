import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { freePort } from './free-port.ts';
import { scratchFolder } from './scratch-folder.ts';

export interface RedisServerOptions {
  /** From `describeWith`. */
  readonly command: string;
  /** Further arguments such as `--requirepass x`. */
  readonly arguments?: readonly string[];
  readonly port?: number;
  /** A configuration that makes it a Sentinel. */
  readonly sentinel?: string;
}

const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** A redis-server of a test: on a port and in a folder of its own, without persistence unless arguments ask for it. It ends with this process at the latest. */
export class RedisServer {
  readonly port: number;
  readonly folder: string;
  readonly #options: RedisServerOptions;
  #child: ChildProcess;

  private constructor(port: number, folder: string, options: RedisServerOptions, child: ChildProcess) {
    this.port = port;
    this.folder = folder;
    this.#options = options;
    this.#child = child;
  }

  static async start(options: RedisServerOptions): Promise<RedisServer> {
    const port = options.port ?? await freePort();
    const folder = scratchFolder('redis');
    return new RedisServer(port, folder, options, await launch(port, folder, options));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** One command over a connection of its own; the reply as it came, for commands whose reply is one line or one text. */
  command(...words: readonly (string | number)[]): Promise<string> {
    return redisCommand(this.port, ...words);
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  /** Kills it and starts it again: scripts and whatever was not written are gone. */
  async restart(): Promise<void> {
    await this.kill();
    this.#child = await launch(this.port, this.folder, this.#options);
  }

  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }
}

export function redisCommand(port: number, ...words: readonly (string | number)[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    let reply = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      reply += text;
      if (isWhole(reply)) {
        socket.destroy();
        resolve(reply.trimEnd());
      }
    }).on('error', reject).on('end', () => reject(new Error(`half a reply: ${reply}`)));
    socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`).join('')}`);
  });
}

function isWhole(reply: string): boolean {
  const line = reply.indexOf('\r\n');
  if (line < 0) return false;
  if (!reply.startsWith('$')) return true;
  const length = Number(reply.slice(1, line));
  return length < 0 || Buffer.byteLength(reply.slice(line + 2)) >= length + 2;
}

async function launch(port: number, folder: string, { command, sentinel, arguments: more = [] }: RedisServerOptions): Promise<ChildProcess> {
  const what = sentinel === undefined ? ['--save', ''] : [sentinel, '--sentinel'];
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--logfile', path.join(folder, 'log'), ...more];
  const child = spawn(command, sentinel === undefined ? [...settings, ...what] : [...what, ...settings], { stdio: 'ignore' });
  children.add(child);
  child.once('exit', () => children.delete(child));
  for (;;) {
    if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode}; see ${folder}/log`);
    const reply = await redisCommand(port, 'PING').catch(() => '');
    if (reply.startsWith('+PONG') || reply.startsWith('-NOAUTH')) return child;
    await new Promise((resolve) => { setTimeout(resolve, 10); });
  }
}

