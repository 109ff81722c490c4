import { writeProxyHeader } from '@remora/http/first-bytes/write-proxy-header';
import { Link } from '../io/link.ts';
import type { LinkContext } from '../io/link-context.ts';
import type { LinkOwner } from '../io/link-owner.ts';
import type { UpstreamWay } from '../tls/upstream-way.ts';
import type { Attempt } from './attempt.ts';
import { outsideLinks } from './outside-lookup.ts';
import type { PoolLimits } from './pool-limits.ts';
import type { UpstreamAddress, UpstreamProtocol } from './upstream-address.ts';

/**
 * The connections of one thread to one address, whatever they speak. What balancing needs (how busy it is, whether it can be connected) is
 * the same for all; how calls are spread over connections is each codec's own.
 */
export abstract class UpstreamPool {
  readonly host: string;
  readonly port: number;
  readonly protocol: UpstreamProtocol;
  readonly #tls: UpstreamWay | null;
  readonly #outside: boolean;
  /** What each connection begins with; null: nothing. */
  readonly #header: Buffer | null;
  /** `host:port`. */
  readonly address: string;
  /** Calls that have a connection or wait for one: the load that balancing compares. */
  active = 0;
  /** Connections, idle and busy, with those of pools that report here. */
  open = 0;
  /** Monotonic milliseconds until which balancing prefers others: after connect failures, 0.5 s doubling up to 8 s. */
  downUntil = 0;
  /** No endpoint names the address any more: idle connections go, busy ones close when done. */
  retired = false;
  /** A pool that balancing knows, where it does not know this one. */
  reportsTo: UpstreamPool | null = null;
  #failures = 0;
  #probing = false;

  constructor({ host, port, protocol, tls, proxyProtocol, header, outside }: UpstreamAddress) {
    this.#outside = outside === true;
    this.host = host;
    this.port = port;
    this.protocol = protocol;
    this.#tls = tls ?? null;
    // Without a client it is a connection of our own, and says so.
    this.#header = header ?? (proxyProtocol === undefined ? null : writeProxyHeader({ version: proxyProtocol, addresses: null }));
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

  /** What is at the address proves of which service it is. */
  get proves(): boolean {
    return this.#tls?.proves === true;
  }

  /** Takes a call without opening a connection. */
  get takes(): boolean {
    return false;
  }

  /** Closes a connection that is idle; false: there is none. */
  closeIdle(): boolean {
    return false;
  }

  /** A connection of the pool, with TLS where the address wants it. `header` goes first: by default what the address says. */
  openLink(links: LinkContext, owner: LinkOwner, header: Buffer | null = this.#header): Link {
    const own = this.#outside ? outsideLinks(links) : links;
    return this.#tls === null ? Link.connect(this, own, owner, header) : this.#tls.connect(this, { protocol: alpnNames[this.protocol], header }, own, owner);
  }

  opened(): void {
    this.open++;
    this.reportsTo?.opened();
  }

  /** `of`: the pool whose connection it was. */
  closed(of: UpstreamPool): void {
    this.open--;
    this.reportsTo?.closed(of);
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
    this.reportsTo?.connectFailed(now);
    if (!this.#probing && this.downUntil > now) return;
    this.#probing = false;
    this.#failures = Math.min(this.#failures + 1, 5);
    this.downUntil = now + 250 * 2 ** this.#failures;
  }

  /** Once a connection stands. */
  keepAlive(link: Link, { tcpKeepaliveMs }: PoolLimits): void {
    if (tcpKeepaliveMs > 0) link.setKeepAlive(tcpKeepaliveMs);
  }

  connected(): void {
    this.reportsTo?.connected();
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
/** '': all that are configured are offered. */
const alpnNames: Readonly<Record<UpstreamProtocol, string>> = { http1: 'http/1.1', http2: 'h2', negotiated: '', tcp: '' };
