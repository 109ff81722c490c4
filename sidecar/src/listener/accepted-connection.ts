import { asText, type TextBuffer } from '@remora/http/byte-text';
import type { ConnectionFacts } from '@remora/policy-kit/exchange';
import type { Link, LinkOwner } from '../io/link.ts';
import { WheelNode } from '../io/timer-wheel.ts';
import type { Engine } from '../pipeline/engine.ts';
import type { ForwardedFields } from '../pipeline/outside-headers.ts';
import type { ListenerBinding } from './listener-binding.ts';
import type { ServerCodec } from './server-codec.ts';
import { ServerConnection } from './server-connection.ts';
import type { ServerPeer } from './server-peer.ts';

/**
 * A connection that a listener accepted, from its first byte to its end. Until the first bytes say what protocol it speaks it costs nearly
 * nothing; then a codec takes over the link.
 */
export class AcceptedConnection extends WheelNode implements LinkOwner, ServerPeer {
  readonly binding: ListenerBinding;
  facts: ConnectionFacts;
  factsOf: object | null = null;
  forwarded: ForwardedFields | null = null;
  readonly #engine: Engine;
  #link!: Link;
  #codec: ServerCodec | null = null;
  /** First bytes that do not decide yet. */
  #held: TextBuffer | null = null;

  constructor(engine: Engine, binding: ListenerBinding, facts: ConnectionFacts) {
    super();
    this.#engine = engine;
    this.binding = binding;
    this.facts = facts;
  }

  attach(link: Link): void {
    this.#link = link;
    const { headerTimeoutMs, idleTimeoutMs } = this.#engine.limitsOf(this.binding);
    const firstByteMs = headerTimeoutMs > 0 ? headerTimeoutMs : defaultFirstByteMs;
    this.#engine.thread.wheels.arm(this, idleTimeoutMs > 0 ? Math.min(idleTimeoutMs, firstByteMs) : firstByteMs);
  }

  /** Exchanges under way. */
  get busy(): number {
    return this.#codec?.busy ?? 0;
  }

  drain(): void {
    if (this.#codec !== null) this.#codec.drain();
    else this.#engine.thread.wheels.arm(this, drainQuietMs);
  }

  destroy(): void {
    this.#link.destroy();
  }

  /** The codec's last word. */
  closed(): void {
    this.binding.closed(this);
  }

  // --- until the protocol is known --------------------------------------------------------------------------------

  onRead(bytes: TextBuffer, length: number): void {
    const held = this.#held;
    const first = held === null ? bytes : asText(Buffer.concat([held, bytes.subarray(0, length)]));
    const size = held === null ? length : first.length;
    const codec = this.#choose(first, size);
    if (codec === null) {
      this.#held = held === null ? asText(Buffer.from(bytes.subarray(0, length))) : first;
      return;
    }
    this.#held = null;
    this.#codec = codec;
    this.#engine.thread.wheels.cancel(this);
    this.#link.owner = codec;
    codec.attach(this.#link);
    codec.onRead(first, size);
  }

  /** Null: more bytes are needed to tell. */
  #choose(_bytes: TextBuffer, _length: number): ServerCodec | null {
    return new ServerConnection(this.#engine, this);
  }

  onEnd(): void {
    this.#link.destroy();
  }

  onDrain(): void {}

  onClosed(): void {
    this.#engine.thread.wheels.cancel(this);
    this.closed();
  }

  /** Nothing, or too little, came in time. */
  fire(): void {
    this.#link.destroy();
  }
}

/** A new connection has this long for its first bytes where `requestLimits` sets no limit on heads. */
const defaultFirstByteMs = 60_000;
const drainQuietMs = 500;
