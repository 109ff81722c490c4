import type { Attempt } from './attempt.ts';
import type { UpstreamAddress, UpstreamProtocol } from './upstream-address.ts';

/**
 * The connections of one thread to one address, whatever they speak. What balancing needs (how busy it is, whether it can be connected) is
 * the same for all; how calls are spread over connections is each codec's own.
 */
export abstract class UpstreamPool {
  readonly host: string;
  readonly port: number;
  readonly protocol: UpstreamProtocol;
  /** `host:port`. */
  readonly address: string;
  /** Calls that have a connection or wait for one: the load that balancing compares. */
  active = 0;
  /** Monotonic milliseconds until which balancing prefers others: after connect failures, 0.5 s doubling up to 8 s. */
  downUntil = 0;
  /** No endpoint names the address any more: idle connections go, busy ones close when done. */
  retired = false;
  #failures = 0;
  #probing = false;

  constructor({ host, port, protocol }: UpstreamAddress) {
    this.host = host;
    this.port = port;
    this.protocol = protocol;
    this.address = `${host}:${port}`;
  }

  /** Gives the attempt a stream, now or later, by `Attempt.assigned`. False: too many wait already. */
  abstract acquire(attempt: Attempt): boolean;

  /** The attempt gave up waiting. */
  abstract forget(attempt: Attempt): void;

  /** Closes what is idle; the rest closes when it is done. */
  abstract retire(): void;

  /** Closes everything; calls under way break off. */
  abstract destroy(): void;

  abstract describe(now: number): PoolDescription;

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
}

/** What the admin port shows of a pool. */
export interface PoolDescription {
  readonly address: string;
  readonly protocol: UpstreamProtocol;
  /** Calls that have a connection or wait for one. */
  readonly active: number;
  /** Connections, idle and busy. */
  readonly open: number;
  readonly idle: number;
  readonly waiting: number;
  /** Balancing passes it over just now. */
  readonly down: boolean;
}

/** Longest time that the call which tries an address keeps the others away. */
const probeMs = 1_000;
