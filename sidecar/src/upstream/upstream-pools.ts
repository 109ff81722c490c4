import type { ThreadContext } from '../io/thread-context.ts';
import { ClientConnection } from './client-connection.ts';
import { Http1Pool } from './http1-pool.ts';
import { defaultPoolLimits, type PoolLimits } from './pool-limits.ts';
import { addressKey, type UpstreamAddress } from './upstream-address.ts';
import type { PoolDescription, UpstreamPool } from './upstream-pool.ts';

/** The pools of a thread, one for each address that endpoints name. */
export class UpstreamPools {
  readonly #thread: ThreadContext;
  readonly #limits: PoolLimits;
  readonly #pools = new Map<string, UpstreamPool>();

  constructor(thread: ThreadContext, limits: PoolLimits = defaultPoolLimits) {
    this.#thread = thread;
    this.#limits = limits;
  }

  /** The pool of the address, made when first asked for. */
  at(address: UpstreamAddress): UpstreamPool {
    const key = addressKey(address);
    let pool = this.#pools.get(key);
    if (pool === undefined || pool.retired) {
      pool = new Http1Pool(address, this.#limits, (owner) => new ClientConnection(owner, this.#thread));
      this.#pools.set(key, pool);
    }
    return pool;
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
