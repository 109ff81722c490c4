import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * What happens to bytes between two programs: passed on; late; swallowed, with connections still accepted; a byte a second; every connection
 * reset; up and down every 200 ms.
 */
export type Fault = 'none' | 'latency' | 'black-hole' | 'drip' | 'reset' | 'flapping';

/** A TCP proxy of ours that spoils connections on demand. A new fault holds for connections that are open, too. */
export class FaultProxy {
  readonly port: number;
  /** Monotonic milliseconds at which connections were asked for. */
  readonly attempts: number[] = [];
  #fault: Fault = 'none';
  #up = true;
  readonly #target: number;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #flap: NodeJS.Timeout | null = null;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async start(target: number): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FaultProxy(server, target);
  }

  set fault(fault: Fault) {
    this.#fault = fault;
    this.#up = true;
    if (this.#flap !== null) clearInterval(this.#flap);
    this.#flap = null;
    if (fault === 'reset') this.#resetAll();
    if (fault === 'flapping') {
      this.#flap = setInterval(() => {
        this.#up = !this.#up;
        if (!this.#up) this.#resetAll();
      }, 200);
    }
    for (const pair of this.#pairs) pair.fault = fault;
  }

  #resetAll(): void {
    for (const pair of this.#pairs) pair.reset();
  }

  #accept(client: Socket): void {
    this.attempts.push(performance.now());
    client.on('error', () => {});
    if (this.#fault === 'reset' || !this.#up) {
      client.resetAndDestroy();
      return;
    }
    const pair = new Pair(client, connect({ port: this.#target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true }), this.#fault);
    this.#pairs.add(pair);
    client.once('close', () => this.#pairs.delete(pair));
  }

  async close(): Promise<void> {
    this.fault = 'none';
    this.#resetAll();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** A connection and its continuation. */
class Pair {
  fault: Fault;
  readonly #client: Socket;
  readonly #server: Socket;

  constructor(client: Socket, server: Socket, fault: Fault) {
    this.fault = fault;
    this.#client = client;
    this.#server = server;
    this.#pipe(client, server);
    this.#pipe(server, client);
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.#server.resetAndDestroy();
  }

  #pipe(from: Socket, to: Socket): void {
    /** Bytes in order, each piece not before the one ahead of it. */
    let last = Promise.resolve();
    from.on('data', (bytes: Buffer) => {
      from.pause();
      last = last.then(() => this.#pass(bytes, to)).then(() => {
        from.resume();
      });
    });
    from.once('end', () => void last.then(() => to.end()));
    from.on('error', () => to.destroy());
    from.once('close', () => to.destroy());
  }

  async #pass(bytes: Buffer, to: Socket): Promise<void> {
    let at = 0;
    while (at < bytes.length && !to.destroyed) {
      if (this.fault === 'black-hole') {
        await pause(50);
      } else if (this.fault === 'drip') {
        to.write(bytes.subarray(at, ++at));
        await pause(1_000);
      } else {
        if (this.fault === 'latency') await pause(150);
        to.write(bytes.subarray(at));
        at = bytes.length;
      }
    }
  }
}

/** Ends by itself when nothing else is left to do. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
