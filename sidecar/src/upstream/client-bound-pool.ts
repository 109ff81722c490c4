import type { Attempt } from './attempt.ts';
import { clientHeader, clientKey } from './client-header.ts';
import type { PoolLimits } from './pool-limits.ts';
import type { UpstreamAddress } from './upstream-address.ts';
import { UpstreamPool, type PoolDescription } from './upstream-pool.ts';

export interface ClientBoundPoolDeps {
  readonly limits: PoolLimits;
  /** A pool of connections that all begin with the header. */
  readonly make: (header: Buffer, limits: PoolLimits) => UpstreamPool;
}

/**
 * Requests to an address that wants to know the client of each connection (PROXY protocol): connections belong to one client's connection, and
 * serve nobody else. All of them together are as many as `connectionsMax`; beyond it idle ones of other clients are closed, those used longest ago first,
 * and where all are busy calls are refused. Idle ones are closed early: they are of use to one client only.
 */
export class ClientBoundPool extends UpstreamPool {
  readonly #deps: ClientBoundPoolDeps;
  readonly #version: 1 | 2;
  readonly #limits: PoolLimits;
  /** By client, in the order of their last use. Empty ones go. */
  readonly #pools = new Map<string, UpstreamPool>();
  readonly #keys = new WeakMap<UpstreamPool, string>();

  constructor(address: UpstreamAddress, version: 1 | 2, deps: ClientBoundPoolDeps) {
    super(address);
    this.#deps = deps;
    this.#version = version;
    this.#limits = { ...deps.limits, idleTimeoutMs: Math.min(deps.limits.idleTimeoutMs, idleMsMax) };
  }

  override acquire(attempt: Attempt): boolean {
    const { x } = attempt.call;
    const key = clientKey(x);
    const known = this.#pools.get(key);
    if (this.open >= this.#limits.connectionsMax && known?.takes !== true && !this.#closeIdle()) return false;
    if (known !== undefined) this.#pools.delete(key);
    const pool = known ?? this.#make(key, clientHeader(this.#version, x));
    this.#pools.set(key, pool);
    return pool.acquire(attempt);
  }

  #make(key: string, header: Buffer): UpstreamPool {
    const pool = this.#deps.make(header, this.#limits);
    pool.reportsTo = this;
    this.#keys.set(pool, key);
    return pool;
  }

  /** Closes what the client used longest ago left idle. False: of the first ones everything is busy. */
  #closeIdle(): boolean {
    let looked = 0;
    for (const pool of this.#pools.values()) {
      if (pool.closeIdle()) return true;
      if (++looked >= lookedMax) return false;
    }
    return false;
  }

  override closed(of: UpstreamPool): void {
    super.closed(of);
    const key = this.#keys.get(of) ?? '';
    if (of.open === 0 && this.#pools.get(key) === of) this.#pools.delete(key);
  }

  override forget(attempt: Attempt): void {
    this.#pools.get(clientKey(attempt.call.x))?.forget(attempt);
  }

  override retire(): void {
    this.retired = true;
    for (const pool of this.#pools.values()) pool.retire();
  }

  override destroy(): void {
    this.retired = true;
    for (const pool of this.#pools.values()) pool.destroy();
  }

  override describe(now: number): PoolDescription {
    const sum = { address: this.address, protocol: this.protocol, active: this.active, open: this.open, idle: 0, waiting: 0, down: this.downUntil > now };
    for (const pool of this.#pools.values()) {
      const { idle, waiting } = pool.describe(now);
      sum.idle += idle;
      sum.waiting += waiting;
    }
    return sum;
  }
}

/** An idle connection is of use to its client alone. */
const idleMsMax = 10_000;
/** Clients that are looked at for an idle connection, from the one that was served longest ago. */
const lookedMax = 64;
