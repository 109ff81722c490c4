import { connect, type Socket } from 'node:net';
import type { ChildProcess } from 'node:child_process';
import { startPinned, stop } from './child.ts';

/** An address that lets nobody connect and says so to nobody: a listener whose process is stopped and whose queue is full. */
export class BlackHole {
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #queue: readonly Socket[];

  private constructor(port: number, process: ChildProcess, queue: readonly Socket[]) {
    this.port = port;
    this.#process = process;
    this.#queue = queue;
  }

  static async start(): Promise<BlackHole> {
    const { promise, resolve } = Promise.withResolvers<number>();
    const script = `const s = require('node:net').createServer(); s.listen({port: 0, host: '127.0.0.1', backlog: 1}, () => console.log(s.address().port));`;
    const child = startPinned(null, [process.execPath, '-e', script], { onLine: (line) => resolve(Number(line)) });
    const port = await promise;
    child.kill('SIGSTOP');
    const queue: Socket[] = [];
    // The queue takes a few; then the system drops what asks for more.
    while (await connects(port, queue)) if (queue.length > 64) throw new Error('the queue of the black hole does not fill');
    return new BlackHole(port, child, queue);
  }

  async close(): Promise<void> {
    for (const socket of this.#queue) socket.destroy();
    await stop(this.#process);
  }
}

async function connects(port: number, queue: Socket[]): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  queue.push(socket);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), 200);
  socket.once('connect', () => resolve(true));
  const connected = await promise;
  clearTimeout(timer);
  return connected;
}
