import { EventEmitter, once } from 'node:events';
import type net from 'node:net';
import { Choice } from '../choice.ts';
import type { Listening, Transport } from '../transport.ts';
import { MemorySocket, type OnRead } from './memory-socket.ts';

/**
 * A network without sockets. Segments arrive in an order that follows from a seed: which connection is next, and how many before what they caused is written.
 * Nothing is lost, cut or put together on the way.
 */
export class MemoryNetwork implements Transport {
  #choice = new Choice(0);
  readonly #servers = new Map<number, (socket: MemorySocket) => void>();
  readonly #waiting: MemorySocket[] = [];
  readonly #queued = new Set<MemorySocket>();
  #turning = false;
  #nextPort = 1;
  /** Segments that have arrived. */
  segments = 0;

  /** From now on in the order of this seed. */
  reseed(seed: number): void {
    this.#choice = new Choice(seed);
  }

  // --- Transport ------------------------------------------------------------------------------------------------------

  async connect(port: number): Promise<net.Socket> {
    const socket = this.dial({ port, host: '127.0.0.1' });
    await once(socket, 'connect');
    return socket;
  }

  async listen(onConnection: (socket: net.Socket) => void): Promise<Listening> {
    const port = this.#nextPort++;
    this.#servers.set(port, (socket) => onConnection(asSocket(socket)));
    return { port, close: async () => void this.#servers.delete(port) };
  }

  // --- what a data thread asks for ------------------------------------------------------------------------------------

  /** In place of `net.connect`. */
  readonly dial = (options: net.NetConnectOpts): net.Socket => {
    const port = 'port' in options ? options.port : 0;
    const own = this.#nextPort++;
    const near = new MemorySocket(this, { local: own, remote: port });
    near.onread = (options as { readonly onread?: unknown }).onread as OnRead | undefined ?? null;
    if (near.onread !== null) near.resume();
    const accept = this.#servers.get(port);
    const far = new MemorySocket(this, { local: port, remote: own });
    near.peer = far;
    far.peer = near;
    if (accept === undefined) near.arrive('reset');
    else {
      near.arrive('connected');
      // At once: nothing may happen to it before somebody listens.
      accept(far);
    }
    return asSocket(near);
  };

  /** In place of `net.createServer`. */
  readonly makeServer = (): net.Server => new MemoryServer(this.#servers, () => this.#nextPort++) as unknown as net.Server;

  // --- order ----------------------------------------------------------------------------------------------------------

  wake(socket: MemorySocket): void {
    if (!socket.ready || this.#queued.has(socket)) return;
    this.#queued.add(socket);
    this.#waiting.push(socket);
    if (this.#turning) return;
    this.#turning = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    for (let left = this.#choice.between(1, 8); left > 0 && this.#waiting.length > 0; left--) {
      const at = this.#choice.below(this.#waiting.length);
      const socket = this.#waiting[at] as MemorySocket;
      this.#waiting[at] = this.#waiting.at(-1) as MemorySocket;
      this.#waiting.pop();
      this.#queued.delete(socket);
      if (!socket.ready) continue;
      this.segments++;
      socket.take();
    }
    this.#turning = this.#waiting.length > 0;
    if (this.#turning) setImmediate(this.#turn);
  };

  get quiet(): boolean {
    return !this.#turning;
  }
}

/** It has what is asked of it here. */
function asSocket(socket: MemorySocket): net.Socket {
  return socket as unknown as net.Socket;
}

/** As much of `net.Server` as a listener asks for. */
class MemoryServer extends EventEmitter {
  readonly #servers: Map<number, (socket: MemorySocket) => void>;
  readonly #port: number;

  constructor(servers: Map<number, (socket: MemorySocket) => void>, nextPort: () => number) {
    super();
    this.#servers = servers;
    this.#port = nextPort();
  }

  listen(_options: object, listening: () => void): this {
    this.#servers.set(this.#port, (socket) => this.emit('connection', socket));
    process.nextTick(listening);
    return this;
  }

  address(): { readonly port: number } {
    return { port: this.#port };
  }

  close(): this {
    this.#servers.delete(this.#port);
    return this;
  }
}
