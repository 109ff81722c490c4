import type { Attempt } from './attempt.ts';
import type { ClientConnection } from './client-connection.ts';

/** What one thread may open towards one address. Defaults until the connectionPool kind exists. */
export interface PoolLimits {
  readonly connectionsMax: number;
  /** Calls that wait for a connection; beyond it `upstream-overflow`. */
  readonly waitingMax: number;
  readonly idleTimeoutMs: number;
  /** Requests after which a connection is closed. */
  readonly requestsPerConnectionMax: number;
}

export const defaultPoolLimits: PoolLimits = {
  connectionsMax: 1024,
  waitingMax: 1024,
  idleTimeoutMs: 60_000,
  requestsPerConnectionMax: Number.MAX_SAFE_INTEGER,
};

/** Longest time that the call which tries an address keeps the others away. */
const probeMs = 1_000;

/** Keep-alive connections of one thread to one address. The connection used last is used next, so that spare ones run into their timeout. */
export class UpstreamPool {
  readonly host: string;
  readonly port: number;
  /** `host:port`. */
  readonly address: string;
  readonly limits: PoolLimits;
  /** Calls that have a connection or wait for one: the load that balancing compares. */
  active = 0;
  /** Monotonic milliseconds until which balancing prefers others: after connect failures, 0.5 s doubling up to 8 s. */
  downUntil = 0;
  /** No endpoint names the address any more: idle connections go, busy ones close when done. */
  retired = false;
  readonly idle: ClientConnection[] = [];
  readonly #connect: (pool: UpstreamPool) => ClientConnection;
  readonly #waiting: Attempt[] = [];
  #failures = 0;
  #probing = false;
  readonly #all = new Set<ClientConnection>();

  constructor(address: { readonly host: string; readonly port: number }, limits: PoolLimits, connect: (pool: UpstreamPool) => ClientConnection) {
    this.host = address.host;
    this.port = address.port;
    this.address = `${address.host}:${address.port}`;
    this.limits = limits;
    this.#connect = connect;
  }

  /** Connections, idle and busy. */
  get open(): number {
    return this.#all.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Gives the attempt a connection, now or later. False: too many wait already. */
  acquire(attempt: Attempt): boolean {
    const connection = this.idle.pop();
    if (connection !== undefined) {
      connection.begin(attempt);
    } else if (this.open < this.limits.connectionsMax) {
      this.#open().begin(attempt);
    } else {
      if (this.#waiting.length >= this.limits.waitingMax) return false;
      this.#waiting.push(attempt);
    }
    return true;
  }

  /** The attempt gave up waiting. */
  forget(attempt: Attempt): void {
    const at = this.#waiting.indexOf(attempt);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  /** A connection has finished a call and can serve the next; false: it must close. */
  release(connection: ClientConnection): boolean {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      connection.begin(next);
      return true;
    }
    if (this.retired) return false;
    this.idle.push(connection);
    return true;
  }

  /** The connection is about to close. */
  notIdle(connection: ClientConnection): void {
    const at = this.idle.lastIndexOf(connection);
    if (at >= 0) this.idle.splice(at, 1);
  }

  /** A connection is gone, busy or idle. */
  removed(connection: ClientConnection): void {
    this.#all.delete(connection);
    this.notIdle(connection);
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#open().begin(next);
  }

  #open(): ClientConnection {
    const connection = this.#connect(this);
    this.#all.add(connection);
    return connection;
  }

  /**
   * A call was balanced here. After failures, one call at a time tries whether the address can be connected again: if all did
   * that are running, each would need a retry, and the budget of retries has not that many.
   */
  chosen(now: number): void {
    if (this.#failures === 0 || this.downUntil > now) return;
    this.#probing = true;
    this.downUntil = now + probeMs;
  }

  /** Calls that fail in the same moment count as one failure. */
  connectFailed(now: number): void {
    if (!this.#probing && this.downUntil > now) return;
    this.#probing = false;
    this.#failures = Math.min(this.#failures + 1, 5);
    this.downUntil = now + 250 * 2 ** this.#failures;
  }

  connected(): void {
    this.#probing = false;
    this.#failures = 0;
    this.downUntil = 0;
  }

  /** Closes everything; calls under way break off. */
  destroy(): void {
    this.retire();
    for (const connection of this.#all) connection.close();
  }

  /** Closes what is idle; the rest closes when it is done. */
  retire(): void {
    this.retired = true;
    while (this.idle.length > 0) this.idle.pop()?.close();
  }
}
