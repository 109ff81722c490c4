import type { Attempt } from './attempt.ts';
import type { ClientConnection } from './client-connection.ts';
import type { PoolLimits } from './pool-limits.ts';
import type { UpstreamAddress } from './upstream-address.ts';
import { boundlessRoom, type UpstreamRoom } from './upstream-room.ts';
import { UpstreamPool, type PoolDescription } from './upstream-pool.ts';

/** Keep-alive connections, one call at a time each. The connection used last is used next, so that spare ones run into their timeout. */
export class Http1Pool extends UpstreamPool {
  readonly limits: PoolLimits;
  readonly #idle: ClientConnection[] = [];
  readonly #connect: (pool: Http1Pool) => ClientConnection;
  readonly #room: UpstreamRoom;
  readonly #waiting: Attempt[] = [];
  readonly #all = new Set<ClientConnection>();
  /** Connections that have switched protocols. They take no room from calls: each has a client's connection, and those are bounded. */
  readonly #tunnels = new Set<ClientConnection>();

  constructor(address: UpstreamAddress, limits: PoolLimits, connect: (pool: Http1Pool) => ClientConnection, room: UpstreamRoom = boundlessRoom()) {
    super(address);
    this.#room = room;
    this.limits = limits;
    this.#connect = connect;
  }

  override acquire(attempt: Attempt): boolean {
    const connection = this.#idle.pop();
    if (connection !== undefined) {
      connection.begin(attempt);
    } else if (this.#mayOpen(attempt)) {
      this.#open(attempt).begin(attempt);
    } else {
      const { room } = attempt.call;
      // Nobody would ever come back for it.
      if (this.#all.size === 0 && !this.#room.takes()) return false;
      if (this.#waiting.length >= this.limits.waitingMax || (room !== null && !room.wait(attempt.call.x))) return false;
      this.#waiting.push(attempt);
    }
    return true;
  }

  #mayOpen({ call: { room } }: Attempt): boolean {
    return this.#all.size < this.limits.connectionsMax && this.#room.takes() && (room === null || room.connect(this.#all.size === 0));
  }

  override forget(attempt: Attempt): void {
    const at = this.#waiting.indexOf(attempt);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    attempt.call.room?.waited();
  }

  /** A connection has finished a call and can serve the next; false: it must close. */
  release(connection: ClientConnection): boolean {
    const next = this.#waiting.length === 0 ? undefined : this.#waiting.shift();
    if (next !== undefined) {
      next.call.room?.waited();
      connection.begin(next);
      return true;
    }
    if (this.retired) return false;
    this.#idle.push(connection);
    return true;
  }

  /** The connection is about to close. */
  notIdle(connection: ClientConnection): void {
    const at = this.#idle.lastIndexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /** A connection is gone, busy or idle. */
  removed(connection: ClientConnection): void {
    this.#room.open--;
    connection.room?.disconnected();
    connection.room = null;
    if (!this.#tunnels.delete(connection)) {
      this.#all.delete(connection);
      this.notIdle(connection);
      this.#openForNext();
    }
    this.closed(this);
  }

  /** A connection has switched protocols: it serves no calls any more. */
  switched(connection: ClientConnection): void {
    this.#all.delete(connection);
    this.#tunnels.add(connection);
    this.#openForNext();
  }

  #openForNext(): void {
    const [next] = this.#waiting;
    if (next === undefined || !this.#mayOpen(next)) return;
    this.#waiting.shift();
    next.call.room?.waited();
    this.#open(next).begin(next);
  }

  #open({ call }: Attempt): ClientConnection {
    const connection = this.#connect(this);
    connection.room = call.room;
    this.#all.add(connection);
    this.#room.open++;
    this.opened();
    return connection;
  }

  override get takes(): boolean {
    return this.#idle.length > 0;
  }

  override closeIdle(): boolean {
    const oldest = this.#idle.shift();
    oldest?.close();
    return oldest !== undefined;
  }

  override retire(): void {
    this.retired = true;
    while (this.#idle.length > 0) this.#idle.pop()?.close();
  }

  override destroy(): void {
    this.retire();
    for (const connection of [...this.#all, ...this.#tunnels]) connection.close();
  }

  override describe(now: number): PoolDescription {
    return {
      address: this.address, protocol: this.protocol, active: this.active, open: this.#all.size + this.#tunnels.size, idle: this.#idle.length, waiting: this.#waiting.length,
      down: this.downUntil > now,
    };
  }
}
