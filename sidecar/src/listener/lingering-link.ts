import type { Link } from '../io/link.ts';
import type { LinkOwner } from '../io/link-owner.ts';
import type { ThreadContext } from '../io/thread-context.ts';
import { WheelNode } from '../io/timer-wheel.ts';

/**
 * A client's connection behind its last answer: our side ends, what the client still sends is dropped, and it has a moment to end its own. Closing with unread input would
 * make the kernel reset what we sent. While the client takes that answer slowly, the moment has not begun.
 */
export class LingeringLink extends WheelNode implements LinkOwner {
  readonly #link: Link;
  readonly #thread: ThreadContext;
  /** 0: no limit. */
  readonly #idleTimeoutMs: number;
  readonly #onGone: () => void;
  #since: number;
  /** What the kernel had not taken when that was looked at last. */
  #unsent = 0;

  /** Takes the link over. `onGone`: it has closed. */
  static takeOver(link: Link, thread: ThreadContext, options: { readonly idleTimeoutMs: number; readonly onGone: () => void }): void {
    const lingering = new LingeringLink(link, thread, options);
    link.owner = lingering;
    link.end();
    link.resume();
    thread.wheels.arm(lingering, lingerMs);
  }

  private constructor(link: Link, thread: ThreadContext, { idleTimeoutMs, onGone }: { readonly idleTimeoutMs: number; readonly onGone: () => void }) {
    super();
    this.#link = link;
    this.#thread = thread;
    this.#idleTimeoutMs = idleTimeoutMs;
    this.#onGone = onGone;
    this.#since = thread.turn.now();
  }

  onRead(): void {}
  onEnd(): void {}

  onDrain(): void {
    this.#since = this.#thread.turn.now();
  }

  onClosed(): void {
    this.#thread.wheels.cancel(this);
    this.#onGone();
  }

  fire(): void {
    const now = this.#thread.turn.now();
    const leftMs = this.#stillSending(now) ? lingerMs : lingerMs - (now - this.#since);
    if (leftMs > 0) this.#thread.wheels.arm(this, leftMs);
    else this.#link.destroy();
  }

  /** It has not all of the answer yet, and has taken something of it within the idle timeout. */
  #stillSending(now: number): boolean {
    const { unsent } = this.#link;
    if (unsent !== this.#unsent) {
      this.#unsent = unsent;
      this.#since = now;
      return true;
    }
    return unsent > 0 && (this.#idleTimeoutMs <= 0 || now - this.#since < this.#idleTimeoutMs);
  }
}

const lingerMs = 1000;
