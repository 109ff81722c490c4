import { WheelNode } from '../io/timer-wheel.ts';
import type { ThreadContext } from '../io/thread-context.ts';
import { BodyPace } from './body-pace.ts';
import { drainQuietMs, timeLeft, type Awaited } from './client-patience.ts';
import type { ConnectionLimits } from './connection-limits.ts';

/**
 * How long the client of an HTTP/1.1 connection takes for what is awaited from it. One timer for all limits, armed seldom: it compares when it fires,
 * and is armed again for what is left.
 */
export class ClientWatch extends WheelNode {
  limits: ConnectionLimits;
  readonly #client: WatchedClient;
  readonly #thread: ThreadContext;
  /** When something came from the client, or went to it, last. */
  #since = 0;
  /** Of the body that is being read; null until it is wanted. */
  #pace: BodyPace | null = null;

  constructor(client: WatchedClient, thread: ThreadContext, limits: ConnectionLimits) {
    super();
    this.#client = client;
    this.#thread = thread;
    this.limits = limits;
  }

  /** Something came, or went. */
  moved(): void {
    this.#since = this.#thread.turn.now();
  }

  requestBegan(): void {
    this.#pace = null;
  }

  headBegan(): void {
    this.moved();
    if (this.limits.headerTimeoutMs > 0) this.#arm(this.limits.headerTimeoutMs);
  }

  /** More of the body is wanted. */
  bodyBegan(): void {
    const now = this.#thread.turn.now();
    this.#since = now;
    this.#pace ??= new BodyPace(now);
    this.#pace.awaited(now);
    const checkMs = this.#pace.checkInMs(this.limits, now);
    if (checkMs < Infinity) this.#arm(checkMs);
  }

  bodyCame(bytes: number): void {
    this.moved();
    this.#pace?.came(bytes, this.#since);
  }

  /** From now on the client may be quiet for as long as an idle connection may. Usually armed from before. */
  idle(): void {
    if (this.limits.idleTimeoutMs > 0 && !this.#thread.wheels.isArmed(this)) this.#arm(this.limits.idleTimeoutMs);
  }

  /** The listener drains: after a while of quiet it is enough. */
  farewell(): void {
    this.moved();
    this.#arm(drainQuietMs);
  }

  cancel(): void {
    this.#thread.wheels.cancel(this);
  }

  fire(): void {
    const now = this.#thread.turn.now();
    const { awaited } = this.#client;
    const of = awaited === 'body' && this.#pace === null ? 'nothing' : awaited;
    const left = timeLeft(of, this.limits, { sinceMs: this.#since, nowMs: now, pace: this.#pace });
    if (left <= 0) this.#client.tooLate(this.#pace?.exceeded(this.limits, now));
    else if (left < Infinity) this.#arm(left);
  }

  #arm(delayMs: number): void {
    this.#thread.wheels.arm(this, delayMs);
  }
}

export interface WatchedClient {
  readonly awaited: Awaited;
  /** `exceeded`: the field of `requestLimits` that a body exceeds, '' for none; undefined where no body is awaited. */
  tooLate(exceeded: string | undefined): void;
}
