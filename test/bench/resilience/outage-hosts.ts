import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import path from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { startPinned, stop } from '../../processes/child.ts';

/** How an instance fails: every answer is a 503; requests get no answer, nor do connections break; nobody is there any more; nothing answers, new connections neither. */
export type Outage = 'errors' | 'hangs' | 'gone' | 'black-hole';

/** An instance whose failures are scripted. Its answers are its name. */
export interface ScriptedHost {
  readonly name: string;
  readonly port: number;
  /** Holds for connections that are open, too. */
  fail(outage: Outage): Promise<void>;
  heal(): Promise<void>;
  close(): Promise<void>;
}

/** One that fails in this process: `errors`, `hangs` and `gone`. */
export async function startHost(name: string, delayMs: number): Promise<ScriptedHost> {
  const host = new HostHere(name, delayMs);
  await host.listen();
  return host;
}

class HostHere implements ScriptedHost {
  readonly name: string;
  port = 0;
  readonly #delayMs: number;
  readonly #server: Server;
  readonly #held = new Set<ServerResponse>();
  #outage: Outage | null = null;

  constructor(name: string, delayMs: number) {
    this.name = name;
    this.#delayMs = delayMs;
    this.#server = createServer({ keepAliveTimeout: 0 }, (_, response) => this.#answer(response));
  }

  async listen(): Promise<void> {
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
  }

  #answer(response: ServerResponse): void {
    if (this.#outage === 'errors') response.writeHead(503).end(this.name);
    else if (this.#outage === 'hangs') this.#held.add(response);
    else setTimeout(() => response.end(this.name), this.#delayMs);
  }

  fail(outage: Outage): Promise<void> {
    this.#outage = outage;
    if (outage === 'black-hole') return Promise.reject(new Error('only an instance of its own process can be one'));
    if (outage === 'gone') {
      this.#server.close();
      this.#server.closeAllConnections();
    }
    return Promise.resolve();
  }

  async heal(): Promise<void> {
    const was = this.#outage;
    this.#outage = null;
    for (const response of this.#held) response.end(this.name);
    this.#held.clear();
    if (was === 'gone') await this.listen();
  }

  close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    return Promise.resolve();
  }
}

/** One of a process of its own, which can be stopped with its queue of connections full: `black-hole` alone. */
export async function startFreezingHost(name: string, delayMs: number): Promise<ScriptedHost> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const child = startPinned(null, [process.execPath, path.join(import.meta.dirname, 'frozen-app.ts'), name, String(delayMs)], { onLine: (line) => resolve(Number(line)) });
  return new FreezingHost(name, await promise, child);
}

class FreezingHost implements ScriptedHost {
  readonly name: string;
  readonly port: number;
  readonly #child: ChildProcess;
  #queue: Socket[] = [];

  constructor(name: string, port: number, child: ChildProcess) {
    this.name = name;
    this.port = port;
    this.#child = child;
  }

  async fail(_outage: Outage): Promise<void> {
    this.#child.kill('SIGSTOP');
    this.#queue = Array.from({ length: 32 }, () => connect({ port: this.port, host: '127.0.0.1' }).on('error', () => {}));
    // The first that the system takes says that the others of this turn have been asked for, too.
    await once(this.#queue[0] as Socket, 'connect');
  }

  heal(): Promise<void> {
    for (const socket of this.#queue) socket.destroy();
    this.#child.kill('SIGCONT');
    return Promise.resolve();
  }

  close(): Promise<void> {
    return stop(this.#child);
  }
}
