import type { Attempt } from './attempt.ts';
import type { ConnectionDescription } from './connection-description.ts';
import type { Http2ClientConnection } from './http2-client-connection.ts';
import type { PoolLimits } from './pool-limits.ts';
import type { UpstreamAddress } from './upstream-address.ts';
import type { UpstreamRoom } from './upstream-room.ts';
import { UpstreamPool, type PoolDescription } from './upstream-pool.ts';

/**
 * Multiplexed connections. Calls go to the connection that had room last, so that spare ones run into their timeout; when the last one with
 * room is three quarters full the next is opened already, so that nobody waits for the peer's limit of streams. Where every connection is full and
 * no further one may be opened, calls wait here, first come, first served.
 */
export class Http2Pool extends UpstreamPool {
  readonly limits: PoolLimits;
  /** Streams that a new connection is assumed to take until its peer has said: 100 as RFC 9113 section 6.5.2 recommends, or what the last one said. */
  assumedStreams = 100;
  /** Whether the peer takes extended CONNECT, as far as it has said. */
  extendedConnect = true;
  readonly count: (event: PoolEvent) => void;
  readonly #connect: (pool: Http2Pool) => Http2ClientConnection;
  readonly #http1: () => UpstreamPool;
  #passedTo: UpstreamPool | null = null;
  readonly #all = new Set<Http2ClientConnection>();
  readonly #withRoom: Http2ClientConnection[] = [];
  readonly #room: UpstreamRoom;
  readonly #waiting: Attempt[] = [];

  constructor(address: UpstreamAddress, limits: PoolLimits, deps: Http2PoolDeps) {
    super(address);
    this.limits = limits;
    this.#connect = deps.connect;
    this.#room = deps.room;
    this.#http1 = deps.http1;
    this.count = deps.count;
  }

  /** A request to switch protocols that this peer takes over HTTP/1.1 only. False: too many wait there. */
  passOn(attempt: Attempt): boolean {
    this.#passedTo = this.#http1();
    return this.#passedTo.acquire(attempt);
  }

  override acquire(attempt: Attempt): boolean {
    const { protocol } = attempt.call.head;
    // Extended CONNECT has names for few protocols; other upgrades are of HTTP/1.1.
    if (protocol !== '' && (protocol !== 'websocket' || !this.extendedConnect)) return this.passOn(attempt);
    const connection = this.#findRoom() ?? this.#openAnother(attempt);
    if (connection !== null) {
      connection.begin(attempt);
      this.#openSpare(connection, attempt);
      return true;
    }
    const { room } = attempt.call;
    // Nobody would ever come back for it.
    if (this.#all.size === 0 && !this.#room.takes()) return false;
    if (this.#waiting.length >= this.limits.waitingMax || (room !== null && !room.wait(attempt.call.x))) return false;
    this.#waiting.push(attempt);
    return true;
  }

  override forget(attempt: Attempt): void {
    const at = this.#waiting.indexOf(attempt);
    if (at < 0) {
      this.#passedTo?.forget(attempt);
      return;
    }
    this.#waiting.splice(at, 1);
    attempt.call.room?.waited();
  }

  #findRoom(): Http2ClientConnection | null {
    const list = this.#withRoom;
    while (list.length > 0) {
      const last = list[list.length - 1] as Http2ClientConnection;
      if (last.hasRoom) return last;
      last.listed = false;
      list.pop();
    }
    return null;
  }

  /** Null: no more may be opened, or another one would take nothing either. */
  #openAnother({ call: { room } }: Attempt): Http2ClientConnection | null {
    if (this.#all.size >= this.limits.connectionsMax || !this.#room.takes()) return null;
    if (this.assumedStreams === 0 && this.#all.size > 0) return null;
    if (room !== null && !room.connect(this.#all.size === 0)) return null;
    const connection = this.#connect(this);
    connection.room = room;
    this.#all.add(connection);
    this.#room.open++;
    this.opened();
    if (!connection.hasRoom) return null;
    this.#list(connection);
    return connection;
  }

  /** Peers that take only a few streams get connections as calls need them. */
  #openSpare(used: Http2ClientConnection, attempt: Attempt): void {
    const { capacity } = used;
    if (this.retired || capacity < spareFrom || used.streams < capacity * 0.75 || this.#withRoom.length > 1 || used.connecting) return;
    const spare = this.#openAnother(attempt);
    // What is used stays the last of the list, as long as it has room.
    if (spare !== null && this.#withRoom.length === 2) this.#withRoom.reverse();
  }

  #list(connection: Http2ClientConnection): void {
    if (connection.listed) return;
    connection.listed = true;
    this.#withRoom.push(connection);
  }

  unlist(connection: Http2ClientConnection): void {
    if (!connection.listed) return;
    connection.listed = false;
    this.#withRoom.splice(this.#withRoom.indexOf(connection), 1);
  }

  /** A connection may have room again. */
  freed(connection: Http2ClientConnection): void {
    while (connection.hasRoom) {
      const next = this.#waiting.shift();
      if (next === undefined) {
        this.#list(connection);
        return;
      }
      next.call.room?.waited();
      connection.begin(next);
    }
  }

  /** What a peer says that it takes; also while its connections are open. */
  learned(streamsMax: number): void {
    this.assumedStreams = Math.min(streamsMax, assumedStreamsMax);
  }

  /** A connection is gone. */
  removed(connection: Http2ClientConnection): void {
    if (this.#all.delete(connection)) this.#room.open--;
    this.unlist(connection);
    connection.room?.disconnected();
    connection.room = null;
    const [next] = this.#waiting;
    if (next !== undefined) {
      const another = this.#findRoom() ?? this.#openAnother(next);
      if (another !== null) this.freed(another);
    }
    this.closed(this);
  }

  override get takes(): boolean {
    return this.#findRoom() !== null;
  }

  override closeIdle(): boolean {
    for (const connection of this.#all) {
      if (connection.streams > 0 || !connection.hasRoom) continue;
      connection.close();
      return true;
    }
    return false;
  }

  override retire(): void {
    this.retired = true;
    for (const connection of this.#all) if (connection.streams === 0) connection.close();
  }

  override destroy(): void {
    this.retire();
    for (const connection of this.#all) connection.destroy();
  }

  override describe(now: number): Http2PoolDescription {
    let idle = 0;
    let streams = 0;
    const connections: ConnectionDescription[] = [];
    for (const connection of this.#all) {
      if (connection.streams === 0) idle++;
      streams += connection.streams;
      if (connections.length < describedMax) connections.push(connection.describe(now));
    }
    return {
      address: this.address, protocol: this.protocol, active: this.active, open: this.#all.size, idle, waiting: this.#waiting.length, down: this.downUntil > now,
      streams, connections,
    };
  }
}

export interface Http2PoolDeps {
  readonly connect: (pool: Http2Pool) => Http2ClientConnection;
  /** The same address by HTTP/1.1. */
  readonly http1: () => UpstreamPool;
  readonly count: (event: PoolEvent) => void;
  /** What all pools of the thread may have open. */
  readonly room: UpstreamRoom;
}

/**
 * A peer said GOAWAY; a connection ended because its peer broke the rules, or was silent for too long; one takes no more calls because so many were
 * cancelled on it.
 */
export type PoolEvent = 'goaway' | 'failed' | 'retired';

export interface Http2PoolDescription extends PoolDescription {
  readonly streams: number;
  /** The oldest ones. */
  readonly connections: readonly ConnectionDescription[];
}

/** Peers that take fewer streams than this get no spare connection. */
const spareFrom = 4;
/** A new connection takes no more than this before its peer has said how many it may. */
const assumedStreamsMax = 100;
/** Connections shown of one pool. */
const describedMax = 64;
