import { isIPv6 } from 'node:net';
import type { Clock } from '@remora/core/clock';

/** What is counted and how long an address waits. */
export interface FailureLimits {
  /** Failures without a wait. */
  readonly free: number;
  /** Wait after the next one; it doubles with each that follows. */
  readonly firstMs: number;
  readonly longestMs: number;
  /** So long without a failure, and an address begins anew. */
  readonly forgetMs: number;
  /** Addresses remembered; beyond, the one that failed longest ago is forgotten. */
  readonly addressesMax: number;
}

export const failureLimits: FailureLimits = { free: 10, firstMs: 1_000, longestMs: 300_000, forgetMs: 900_000, addressesMax: 10_000 };

interface Record {
  count: number;
  /** Monotonic. */
  lastMs: number;
  lockedUntilMs: number;
}

/** Counts failed authentications per client address, and says how long an address has to wait. */
export class FailureLimiter {
  readonly #clock: Clock;
  readonly #limits: FailureLimits;
  /** In the order of the last failure. */
  readonly #records = new Map<string, Record>();
  #forgotten = 0;

  constructor(clock: Clock, limits: FailureLimits = failureLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Milliseconds until the address may fail again; 0: now. */
  waitMs(address: string): number {
    const record = this.#records.get(networkOf(address));
    return record ? Math.max(0, record.lockedUntilMs - this.#clock.monotonicMs()) : 0;
  }

  /** Answers the wait that follows from it. */
  failed(address: string): number {
    const { free, firstMs, longestMs, forgetMs, addressesMax } = this.#limits;
    const nowMs = this.#clock.monotonicMs();
    const network = networkOf(address);
    const known = this.#records.get(network);
    const count = known && nowMs - Math.max(known.lastMs, known.lockedUntilMs) < forgetMs ? known.count + 1 : 1;
    const waitMs = count <= free ? 0 : Math.min(longestMs, firstMs * 2 ** Math.min(30, count - free - 1));
    this.#records.delete(network);
    this.#records.set(network, { count, lastMs: nowMs, lockedUntilMs: nowMs + waitMs });
    if (this.#records.size > addressesMax) this.#forgetOldest();
    return waitMs;
  }

  get addresses(): number {
    return this.#records.size;
  }

  get locked(): number {
    const nowMs = this.#clock.monotonicMs();
    let locked = 0;
    for (const { lockedUntilMs } of this.#records.values()) if (lockedUntilMs > nowMs) locked += 1;
    return locked;
  }

  /** Addresses forgotten because there were too many. */
  get forgotten(): number {
    return this.#forgotten;
  }

  #forgetOldest(): void {
    const [oldest] = this.#records.keys();
    if (oldest !== undefined) this.#records.delete(oldest);
    this.#forgotten += 1;
  }
}

/** Whoever has an IPv6 address has 2^64 of them: the network counts. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  if (!isIPv6(address)) return address;
  const [head = '', tail = ''] = (address.split('%', 1)[0] ?? '').split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const groups = address.includes('::') ? [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right] : left;
  return `${groups.slice(0, 4).map((group) => group.toLowerCase().replace(/^0+(?=.)/, '')).join(':')}::/64`;
}
