import type { Link } from '../io/link.ts';
import type { LinkOwner } from '../io/link-owner.ts';
import type { ThreadContext } from '../io/thread-context.ts';
import type { Attempt } from './attempt.ts';
import type { PoolLimits } from './pool-limits.ts';
import type { UpstreamAddress } from './upstream-address.ts';
import { UpstreamPool, type PoolDescription } from './upstream-pool.ts';

export interface NegotiatingPoolDeps {
  readonly thread: ThreadContext;
  readonly limits: PoolLimits;
  /** The pool that goes on when the protocol is known. */
  readonly make: (protocol: 'http1' | 'http2') => UpstreamPool;
}

/**
 * Connections to an address that may speak HTTP/1.1 or HTTP/2, as ALPN chooses. The first call opens a connection only to learn what is
 * chosen; then a pool of that protocol serves all calls, offering it alone. Where that pool cannot agree with the address any more, the next
 * call looks again.
 */
export class NegotiatingPool extends UpstreamPool implements LinkOwner {
  readonly #deps: NegotiatingPoolDeps;
  #chosen: UpstreamPool | null = null;
  #look: Link | null = null;
  readonly #waiting: Attempt[] = [];

  constructor(address: UpstreamAddress, deps: NegotiatingPoolDeps) {
    super(address);
    this.#deps = deps;
  }

  override acquire(attempt: Attempt): boolean {
    const chosen = this.#chosen;
    if (chosen !== null && chosen.downUntil === 0) return chosen.acquire(attempt);
    if (this.#waiting.length >= this.#deps.limits.waitingMax) return false;
    this.#waiting.push(attempt);
    this.#look ??= this.openLink(this.#deps.thread.links, this);
    return true;
  }

  override forget(attempt: Attempt): void {
    const at = this.#waiting.indexOf(attempt);
    if (at < 0) {
      this.#chosen?.forget(attempt);
      return;
    }
    this.#waiting.splice(at, 1);
    if (this.#waiting.length === 0) this.#look?.destroy();
  }

  // --- the look ---------------------------------------------------------------------------------------------------

  onConnected(protocol: string): void {
    const chosen = this.#choose(protocol === 'h2' ? 'http2' : 'http1');
    chosen.connected();
    this.#look?.destroy();
    for (const attempt of this.#waiting.splice(0)) if (!chosen.acquire(attempt)) attempt.onConnectionLost(false, true);
    if (this.retired) chosen.retire();
  }

  #choose(protocol: 'http1' | 'http2'): UpstreamPool {
    const before = this.#chosen;
    if (before?.protocol === protocol) return before;
    before?.retire();
    const chosen = this.#deps.make(protocol);
    chosen.reportsTo = this;
    this.#chosen = chosen;
    return chosen;
  }

  onRead(): void {}

  onEnd(): void {
    this.#look?.destroy();
  }

  onDrain(): void {}

  onClosed(): void {
    const failure = this.#look?.failure ?? '';
    this.#look = null;
    if (this.#waiting.length === 0) return;
    this.connectFailed(this.#deps.thread.turn.now());
    for (const attempt of this.#waiting.splice(0)) attempt.onConnectionLost(false, true, failure);
  }

  // --- all of it --------------------------------------------------------------------------------------------------

  override retire(): void {
    this.retired = true;
    this.#chosen?.retire();
  }

  override destroy(): void {
    this.retired = true;
    this.#look?.destroy();
    this.#chosen?.destroy();
  }

  override describe(now: number): PoolDescription {
    const own = { address: this.address, protocol: this.protocol, active: this.active, open: 0, idle: 0, waiting: this.#waiting.length, down: this.downUntil > now };
    if (this.#chosen === null) return own;
    const chosen = this.#chosen.describe(now);
    return { ...chosen, active: own.active, waiting: own.waiting + chosen.waiting, down: own.down };
  }
}
