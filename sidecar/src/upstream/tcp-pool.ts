import type { ProxyProtocolVersion } from '@remora/snapshot/snapshot';
import type { Attempt } from './attempt.ts';
import { clientHeader } from './client-header.ts';
import type { PoolLimits } from './pool-limits.ts';
import { TcpUpstream } from './tcp-upstream.ts';
import type { ThreadContext } from '../io/thread-context.ts';
import type { UpstreamAddress } from './upstream-address.ts';
import type { UpstreamRoom } from './upstream-room.ts';
import { UpstreamPool, type PoolDescription } from './upstream-pool.ts';

/** TCP connections to one address, one for each call. Nobody waits for another's end: beyond the limit calls are refused. */
export class TcpPool extends UpstreamPool {
  readonly #limits: PoolLimits;
  readonly #thread: ThreadContext;
  /** Of the PROXY protocol; 0: connections begin without a header. */
  readonly #version: ProxyProtocolVersion;
  readonly #room: UpstreamRoom;
  readonly #all = new Set<TcpUpstream>();

  constructor(address: UpstreamAddress, limits: PoolLimits, thread: ThreadContext, room: UpstreamRoom) {
    super(address);
    this.#room = room;
    this.#version = address.proxyProtocol ?? 0;
    this.#limits = limits;
    this.#thread = thread;
  }

  override acquire(attempt: Attempt): boolean {
    if (this.#all.size >= this.#limits.connectionsMax || !this.#room.takes()) return false;
    const { room, x } = attempt.call;
    if (room !== null && !room.connect(this.#all.size === 0)) {
      room.refuse(x);
      return false;
    }
    const header = this.#version === 0 ? null : clientHeader(this.#version, attempt.call.x);
    const connection = new TcpUpstream(this, this.#thread, attempt, header);
    connection.room = room;
    this.#all.add(connection);
    this.#room.open++;
    attempt.assigned(connection, false);
    return true;
  }

  override forget(): void {}

  removed(connection: TcpUpstream): void {
    if (this.#all.delete(connection)) this.#room.open--;
    connection.room?.disconnected();
    connection.room = null;
  }

  override retire(): void {
    this.retired = true;
  }

  override destroy(): void {
    this.retire();
    for (const connection of this.#all) connection.close();
  }

  override describe(now: number): PoolDescription {
    return { address: this.address, protocol: this.protocol, active: this.active, open: this.#all.size, idle: 0, waiting: 0, down: this.downUntil > now };
  }
}
