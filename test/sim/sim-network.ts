import type { ControlConnector, ControlStream, ControlStreamHandlers } from '@remora/sidecar/config/control-stream';
import type { SidecarStream, SidecarStreamHandler } from '@remora/control-plane/push/sidecar-stream';
import { ControlMessage, SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import type { VirtualWorld } from './virtual-world.ts';

/** Where streams end up: the control plane's hub. Null while there is none, or it hangs. */
export interface Acceptor {
  accept(stream: SidecarStream): SidecarStreamHandler;
}

interface Connection {
  readonly node: string;
  open: boolean;
  readonly up: Uint8Array[];
  readonly down: Uint8Array[];
  buffered: number;
  handler: SidecarStreamHandler | null;
  readonly handlers: ControlStreamHandlers;
}

const retransmitMs = 100;

/**
 * Streams between sidecars and one control plane: ordered and reliable while they last, as TCP is, with latency, cuts at
 * any message, partitions in which nothing arrives and nobody is told, and peers that stop reading.
 */
export class SimNetwork {
  readonly #world: VirtualWorld;
  readonly #connections = new Set<Connection>();
  readonly #partitioned = new Set<string>();
  readonly #stuck = new Set<string>();
  #acceptor: Acceptor | null = null;
  /** Chance that a message cuts its connection. */
  lossRate = 0;
  latencyMs = 20;
  /** Bytes sent by the control plane, per node. */
  readonly sentBytes = new Map<string, number>();

  constructor(world: VirtualWorld) {
    this.#world = world;
  }

  listen(acceptor: Acceptor | null): void {
    this.#acceptor = acceptor;
    if (acceptor === null) for (const connection of this.#connections) this.#cut(connection, 'the control plane is gone');
  }

  partition(node: string, on: boolean): void {
    if (on) this.#partitioned.add(node);
    else this.#partitioned.delete(node);
  }

  /** A node that does not read: what is sent to it stays buffered. */
  stick(node: string, on: boolean): void {
    if (on) this.#stuck.add(node);
    else this.#stuck.delete(node);
  }

  cutAll(): void {
    for (const connection of this.#connections) this.#cut(connection, 'cut');
  }

  connector(node: string): ControlConnector {
    return {
      connect: (_address, handlers) => this.#connect(node, handlers),
      close: () => {
        for (const connection of this.#connections) if (connection.node === node) this.#cut(connection, 'the sidecar ended', false);
      },
    };
  }

  #connect(node: string, handlers: ControlStreamHandlers): ControlStream {
    const connection: Connection = { node, open: true, up: [], down: [], buffered: 0, handler: null, handlers };
    this.#connections.add(connection);
    this.#world.after(this.#delay(), () => {
      if (!connection.open || this.#partitioned.has(node)) return;
      if (this.#acceptor === null) this.#cut(connection, 'connection refused');
      else connection.handler = this.#acceptor.accept(this.#serverSide(connection));
    });
    return {
      send: (message) => this.#up(connection, SidecarMessage.encode(message).finish()),
      close: () => this.#cut(connection, 'closed by the sidecar', false),
    };
  }

  #serverSide(connection: Connection): SidecarStream {
    return {
      peer: { address: '127.0.0.1', certificates: [] },
      send: (bytes) => this.#down(connection, bytes),
      get bufferedBytes() { return connection.buffered; },
      end: () => this.#world.after(this.#delay(), () => this.#cut(connection, 'ended by the control plane')),
      destroy: () => this.#cut(connection, 'destroyed by the control plane'),
    };
  }

  #up(connection: Connection, bytes: Uint8Array): void {
    if (!connection.open) return;
    connection.up.push(bytes);
    if (connection.up.length === 1) this.#world.after(this.#delay(), () => this.#deliverUp(connection));
  }

  /** What cannot arrive now waits, in order, as bytes in a socket do. */
  #deliverUp(connection: Connection): void {
    if (!connection.open) return;
    if (this.#partitioned.has(connection.node) || connection.handler === null) {
      this.#world.after(retransmitMs, () => this.#deliverUp(connection));
      return;
    }
    const bytes = connection.up.shift();
    if (bytes === undefined || this.#lost(connection)) return;
    if (connection.up.length > 0) this.#world.after(this.#delay(), () => this.#deliverUp(connection));
    connection.handler.message(SidecarMessage.decode(bytes));
  }

  #down(connection: Connection, bytes: Uint8Array): void {
    if (!connection.open) return;
    connection.buffered += bytes.length;
    this.sentBytes.set(connection.node, (this.sentBytes.get(connection.node) ?? 0) + bytes.length);
    connection.down.push(bytes);
    if (connection.down.length === 1) this.#world.after(this.#delay(), () => this.#deliverDown(connection));
  }

  #deliverDown(connection: Connection): void {
    if (!connection.open) return;
    if (this.#partitioned.has(connection.node) || this.#stuck.has(connection.node)) {
      this.#world.after(retransmitMs, () => this.#deliverDown(connection));
      return;
    }
    const bytes = connection.down.shift();
    if (bytes === undefined || this.#lost(connection)) return;
    connection.buffered -= bytes.length;
    if (connection.down.length > 0) this.#world.after(this.#delay(), () => this.#deliverDown(connection));
    connection.handlers.onMessage(ControlMessage.decode(bytes));
    connection.handler?.drained();
  }

  #lost(connection: Connection): boolean {
    if (!this.#world.chance(this.lossRate)) return false;
    this.#cut(connection, 'connection reset');
    return true;
  }

  #cut(connection: Connection, cause: string, tellSidecar = true): void {
    if (!connection.open) return;
    connection.open = false;
    this.#connections.delete(connection);
    const { handler } = connection;
    this.#world.after(this.#delay(), () => handler?.closed(cause));
    if (tellSidecar) this.#world.after(this.#delay(), () => connection.handlers.onEnd(cause));
  }

  #delay(): number {
    return 0.2 + this.#world.upTo(this.latencyMs);
  }
}
