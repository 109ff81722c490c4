import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { Sink, Source } from './exchange.ts';
import type { Player, ReplayBuffer } from './replay-buffer.ts';
import type { Deferred, FilterContext } from './runtime-kind.ts';

/**
 * The request body on its way to one consumer after the other: what was sent to the first is kept, as far as the bound of the buffer allows, and played to
 * the next, which then goes on where the client is. Sink of the client's body; each consumer has a leg as its source.
 */
export class BodyRelay implements Sink {
  readonly #source: Source;
  readonly #buffer: ReplayBuffer;
  #leg: BodyLeg | null = null;
  #consumed = false;
  #settled = false;
  readonly #context: Pick<FilterContext, 'later'>;

  constructor(source: Source, buffer: ReplayBuffer, context: Pick<FilterContext, 'later'>) {
    this.#context = context;
    this.#source = source;
    this.#buffer = buffer;
  }

  /** A further consumer can have all of it. */
  get replayable(): boolean {
    return !this.#settled && (!this.#consumed || this.#buffer.whole);
  }

  /** The source of the next consumer; the one before gets nothing more. Its `sink` is to be set before it is asked for anything. */
  next(): BodyLeg {
    this.#leg?.leave();
    const leg = new BodyLeg(this, this.#buffer.empty ? null : this.#buffer.player(), this.#context);
    this.#leg = leg;
    return leg;
  }

  /** There is no further consumer: nothing is kept any more, and whether the present one wants the rest is told to the client. */
  settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#buffer.drop();
    if (this.#leg?.stopped) this.#source.stop(this.#leg.stopped);
  }

  /** Nobody wants anything of it any more. */
  end(reason: Reason): void {
    this.#leg?.leave();
    this.settle();
    if (!this.#buffer.ended) this.#source.stop(reason);
  }

  // From the client.

  bind(_from: Source): void {}
  info(_head: Head): void {}
  head(_head: Head, _end: boolean): void {}

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (to > at) this.#consumed = true;
    const leg = this.#leg;
    if (leg === null || leg.left) return true;
    if (!leg.takesData) {
      leg.play(this.#buffer.hold(bytes, at, to, end));
      return false;
    }
    if (this.#settled) this.#buffer.pass(false, end);
    else this.#buffer.add(bytes, at, to, end);
    return leg.send(bytes, at, to, end);
  }

  trailers(head: Head): void {
    const leg = this.#leg;
    const player = this.#buffer.holdTrailers(head);
    if (leg === null || leg.left) player.leave();
    else if (leg.takesData) {
      player.leave();
      leg.sink?.trailers(head);
    } else leg.play(player);
  }

  reset(reason: Reason): void {
    this.#leg?.sink?.reset(reason);
  }

  // From legs.

  demand(): void {
    if (!this.#buffer.ended) this.#source.resume();
  }

  stopped(reason: Reason): void {
    if (this.#settled) this.#source.stop(reason);
  }
}

/** The body as one consumer sees it. */
export class BodyLeg implements Source, Deferred {
  /** Of the consumer. */
  sink: Sink | null = null;
  stopped: Reason | null = null;
  left = false;
  readonly #context: Pick<FilterContext, 'later'>;
  readonly #relay: BodyRelay;
  #player: Player | null;
  #demanded = false;

  constructor(relay: BodyRelay, player: Player | null, context: Pick<FilterContext, 'later'>) {
    this.#context = context;
    this.#relay = relay;
    this.#player = player;
  }

  get takesData(): boolean {
    return this.#demanded && this.#player === null && this.stopped === null;
  }

  send(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    this.#demanded = this.sink?.data(bytes, at, to, end) ?? false;
    return this.#demanded;
  }

  /** What is kept from here on comes from the buffer first. */
  play(player: Player): void {
    if (this.#player === null) this.#player = player;
    else player.leave();
  }

  leave(): void {
    this.left = true;
    this.#player?.leave();
    this.#player = null;
  }

  resume(): void {
    if (this.left) return;
    this.#demanded = true;
    // Production is scheduled: it never runs within the resume that asked for it.
    if (this.#player !== null) this.#context.later(this);
    else this.#relay.demand();
  }

  stop(reason: Reason): void {
    if (this.left || this.stopped !== null) return;
    this.stopped = reason;
    this.#relay.stopped(reason);
  }

  runLater(): void {
    const player = this.#player;
    const { sink } = this;
    if (this.left || player === null || sink === null || this.stopped !== null) return;
    this.#demanded = player.play(sink);
    if (!player.done) return;
    player.leave();
    this.#player = null;
    if (this.#demanded) this.#relay.demand();
  }
}
