import net from 'node:net';
import type { ListenerSpec } from '../threads/data-plane.ts';
import type { Engine } from '../pipeline/engine.ts';
import { acceptHandles } from '../io/accept-handles.ts';
import { Link } from '../io/link.ts';
import type { HandleAddress, TcpHandle } from '../io/node-handles.ts';
import { plainIpAddress } from '../io/plain-ip-address.ts';
import { AcceptedConnection } from './accepted-connection.ts';
import { removeStaleSocket, unixPathOf } from './unix-path.ts';

export interface BindingOptions {
  /** Connections come as handles of Node's where it has them, without a stream each. */
  readonly handles: boolean;
  /** SO_REUSEPORT: several threads listen on the same port. */
  readonly reusePort: boolean;
  /** In place of `net.createServer`, where there is no network. */
  readonly makeServer?: typeof net.createServer;
}

/** A listening socket and its connections. */
export class ListenerBinding {
  readonly spec: ListenerSpec;
  /** The port in use, also where 0 was asked for. */
  port = 0;
  draining = false;
  /** Refused at accept: above the listener's or the thread's bounds. */
  refused = 0;
  accepted = 0;
  /** TLS handshakes under way. */
  handshakes = 0;
  readonly #engine: Engine;
  readonly #options: BindingOptions;
  readonly #connections = new Set<AcceptedConnection>();
  #server: net.Server | null = null;
  #whenEmpty: (() => void) | null = null;

  constructor(engine: Engine, spec: ListenerSpec, options: BindingOptions) {
    this.#engine = engine;
    this.spec = spec;
    this.#options = options;
  }

  /** Rejects with the system's error where the port cannot be bound. For a UNIX socket the port is 0. */
  async listen(port: number): Promise<number> {
    const path = unixPathOf(this.spec.host);
    if (path !== '') await removeStaleSocket(path);
    return new Promise((resolve, reject) => {
      const server = (this.#options.makeServer ?? net.createServer)({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
      this.#server = server;
      server.once('error', reject);
      server.on('connection', (socket) => this.#accept(socket));
      const where = path === '' ? { host: this.spec.host, port, reusePort: this.#options.reusePort } : { path };
      server.listen({ ...where, backlog: 4096 }, () => {
        server.removeListener('error', reject);
        // Later errors are of single accepts (EMFILE among them): the listener itself goes on.
        server.on('error', () => {
          this.refused++;
        });
        this.port = path === '' ? (server.address() as net.AddressInfo).port : 0;
        if (this.#options.handles && path === '') acceptHandles(server, (handle) => this.#acceptHandle(handle));
        resolve(this.port);
      });
    });
  }

  get connections(): number {
    return this.#connections.size;
  }

  get busy(): number {
    let busy = 0;
    for (const connection of this.#connections) busy += connection.busy;
    return busy;
  }

  #accept(socket: net.Socket): void {
    if (this.#admits()) this.#take(socket, socket.remoteAddress ?? '', socket.remotePort ?? 0);
    else {
      socket.on('error', () => {});
      socket.destroy();
    }
  }

  #acceptHandle(handle: TcpHandle): void {
    if (!this.#admits()) {
      handle.close(() => {});
      return;
    }
    const peer: HandleAddress = {};
    handle.getpeername(peer);
    this.#take(handle, peer.address ?? '', peer.port ?? 0);
  }

  #admits(): boolean {
    if (!this.draining && this.#engine.admits(this)) return true;
    this.refused++;
    this.#engine.count(`connections_refused-${this.spec.side}`);
    return false;
  }

  #take(accepted: TcpHandle | net.Socket, peerAddress: string, peerPort: number): void {
    this.accepted++;
    const connection = new AcceptedConnection(this.#engine, this, {
      peerAddress: plainIpAddress(peerAddress), peerPort, localAddress: '', localPort: this.port, portName: '', tls: false, serverName: '', principal: '', trusted: false,
    });
    this.#connections.add(connection);
    this.#engine.admission.opened();
    connection.attach(Link.accepted(accepted, this.#engine.thread.links, connection));
    this.#engine.thread.turn.end();
  }

  closed(connection: AcceptedConnection): void {
    if (!this.#connections.delete(connection)) return;
    const { protocol } = connection;
    if (protocol === '') this.#engine.count(`connections_total-${this.spec.side}-none`);
    else this.#engine.count(`connections_active-${this.spec.side}-${protocol}`, -1);
    this.#engine.admission.gone();
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  /** No new connections; those that are open close after their exchange. Resolves when all are gone. */
  drain(): Promise<void> {
    this.draining = true;
    this.#server?.close();
    this.#server = null;
    for (const connection of this.#connections) connection.drain();
    this.#engine.thread.turn.end();
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenEmpty = resolve;
    });
  }

  /** Closes everything; answers how many exchanges were cut. */
  close(): number {
    const { busy } = this;
    this.draining = true;
    this.#server?.close();
    this.#server = null;
    for (const connection of this.#connections) connection.destroy();
    return busy;
  }
}
