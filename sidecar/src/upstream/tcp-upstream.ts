import { MessageHead } from '@remora/http/message-head';
import type { ConnectionRoom } from '@remora/policy-kit/connection-room';
import type { Link } from '../io/link.ts';
import type { LinkOwner } from '../io/link-owner.ts';
import type { ThreadContext } from '../io/thread-context.ts';
import type { Attempt } from './attempt.ts';
import type { TcpPool } from './tcp-pool.ts';
import type { UpstreamStream } from './upstream-stream.ts';
import { UpstreamTunnel } from './upstream-tunnel.ts';

/** A TCP connection to an upstream while it is being made. Once it is, its attempt gets the head of a tunnel, and the tunnel the link. */
export class TcpUpstream implements LinkOwner, UpstreamStream {
  readonly reused = false;
  /** Has a place for it, of the call that it was opened for. */
  room: ConnectionRoom | null = null;
  readonly #pool: TcpPool;
  readonly #thread: ThreadContext;
  readonly #link: Link;
  #attempt: Attempt | null;

  /** `header`: what the connection begins with. */
  constructor(pool: TcpPool, thread: ThreadContext, attempt: Attempt, header: Buffer | null) {
    this.#pool = pool;
    this.#thread = thread;
    this.#attempt = attempt;
    this.#link = pool.openLink(thread.links, this, header);
  }

  onConnected(): void {
    this.#pool.connected();
    const attempt = this.#attempt;
    if (attempt === null) return;
    this.#attempt = null;
    attempt.connected();
    attempt.switchTo(new UpstreamTunnel(this.#link, this.#thread, attempt, { early: null, readEnded: false, onGone: () => this.#pool.removed(this) }));
    const head = new MessageHead();
    head.status = 200;
    head.bodyLength = -1;
    head.protocol = attempt.call.head.protocol;
    attempt.onHead(head, false);
  }

  onClosed(failed: boolean): void {
    const attempt = this.#attempt;
    this.#attempt = null;
    if (attempt !== null) this.#pool.connectFailed(this.#thread.turn.now());
    this.#pool.removed(this);
    attempt?.onConnectionLost(false, failed, this.#link.failure);
  }

  close(): void {
    this.#link.destroy();
  }

  onRead(): void {}
  onEnd(): void {}
  onDrain(): void {}

  // --- UpstreamStream, until it is connected ----------------------------------------------------------------------

  sendHead(): boolean {
    return true;
  }

  sendData(): boolean {
    return true;
  }

  sendTrailers(): void {}

  resumeReading(): void {}

  abandon(): void {
    this.#attempt = null;
    this.#link.destroy();
  }
}
