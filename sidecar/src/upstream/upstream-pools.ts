import type { ThreadContext } from '../io/thread-context.ts';
import { ClientBoundPool } from './client-bound-pool.ts';
import { ClientConnection } from './client-connection.ts';
import { Http1Pool } from './http1-pool.ts';
import { Http2ClientConnection } from './http2-client-connection.ts';
import { Http2Pool, type PoolEvent } from './http2-pool.ts';
import type { PoolLimits } from './pool-limits.ts';
import { NegotiatingPool } from './negotiating-pool.ts';
import { TcpPool } from './tcp-pool.ts';
import { addressKey, type UpstreamAddress } from './upstream-address.ts';
import { UpstreamRoom } from './upstream-room.ts';
import type { PoolDescription, UpstreamPool } from './upstream-pool.ts';

/** The pools of a thread, one for each address that endpoints name. */
export class UpstreamPools {
  readonly #thread: ThreadContext;
  readonly #limits: PoolLimits;
  readonly #count: (event: UpstreamEvent) => void;
  readonly #room: UpstreamRoom;
  readonly #pools = new Map<string, UpstreamPool>();

  /** `count` hears what happens in pools, by name; `connections`: what the thread may have, those of clients among them. */
  constructor(thread: ThreadContext, count: (event: UpstreamEvent) => void, limits: PoolLimits, connections: { readonly max: number; readonly clients: () => number }) {
    this.#room = new UpstreamRoom({ ...connections, closeIdle: () => this.#closeIdle() });
    this.#thread = thread;
    this.#count = count;
    this.#limits = limits;
  }

  /** The pool of the address, made when first asked for. */
  at(address: UpstreamAddress): UpstreamPool {
    const key = addressKey(address);
    let pool = this.#pools.get(key);
    if (pool === undefined || pool.retired) {
      pool = this.#make(address);
      this.#pools.set(key, pool);
    }
    return pool;
  }

  #make(address: UpstreamAddress): UpstreamPool {
    const limits = address.pool?.limits ?? this.#limits;
    if (address.protocol === 'negotiated') {
      return new NegotiatingPool(address, { thread: this.#thread, limits, make: (protocol) => this.#make({ ...address, protocol }) });
    }
    if (address.protocol === 'tcp') return new TcpPool(address, limits, this.#thread, this.#room);
    if (address.proxyProtocol === undefined) return this.#makeHttp(address, limits);
    return new ClientBoundPool(address, address.proxyProtocol, { limits, make: (header, ofClient) => this.#makeHttp({ ...address, header }, ofClient) });
  }

  #makeHttp(address: UpstreamAddress, limits: PoolLimits): UpstreamPool {
    if (address.protocol === 'http1') {
      return new Http1Pool(address, limits, (owner) => {
        this.#count('connection-http1');
        return new ClientConnection(owner, this.#thread);
      }, this.#room);
    }
    return new Http2Pool(address, limits, {
      connect: (owner) => {
        this.#count('connection-http2');
        return new Http2ClientConnection(owner, this.#thread);
      },
      http1: () => this.at({ ...address, protocol: 'http1' }), count: this.#count, room: this.#room,
    });
  }

  /** Connections that are open, of all pools. */
  get open(): number {
    return this.#room.open;
  }

  #closeIdle(): boolean {
    for (const pool of this.#pools.values()) if (pool.closeIdle()) return true;
    return false;
  }

  /** Pools of other addresses than these (`addressKey`) close what is idle, and the rest when it is done. */
  retain(used: ReadonlySet<string>): void {
    for (const [key, pool] of this.#pools) {
      if (used.has(key)) continue;
      this.#pools.delete(key);
      pool.retire();
    }
  }

  describe(): PoolDescription[] {
    const now = this.#thread.clock.monotonicMs();
    return [...this.#pools.values()].map((pool) => pool.describe(now));
  }

  destroy(): void {
    for (const pool of this.#pools.values()) pool.destroy();
  }
}

/** Beside what HTTP/2 pools tell: a connection was begun. */
export type UpstreamEvent = PoolEvent | 'connection-http1' | 'connection-http2';
