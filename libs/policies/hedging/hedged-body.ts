import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { Sink, Source } from '@remora/policy-kit/exchange';
import type { Player, ReplayBuffer } from '@remora/policy-kit/replay-buffer';
import type { Deferred, FilterContext } from '@remora/policy-kit/runtime-kind';

/** The request body on its way to the first try, kept up to a bound for a second one. Sink of the client's body, source of the first try. */
export class HedgedBody implements Sink, Source {
  /** Of the first try. */
  sink: Sink | null = null;
  readonly buffer: ReplayBuffer;
  readonly #source: Source;
  readonly #owner: { gone(reason: Reason): void };
  #kept = true;

  /** `owner` is told when the client breaks off. */
  constructor(source: Source, buffer: ReplayBuffer, owner: { gone(reason: Reason): void }) {
    this.#source = source;
    this.buffer = buffer;
    this.#owner = owner;
  }

  /** All of it is here. */
  get complete(): boolean {
    return this.#kept && this.buffer.whole && this.buffer.ended;
  }

  /** There will be no second try. */
  letGo(): void {
    if (!this.#kept) return;
    this.#kept = false;
    this.buffer.drop();
  }

  bind(_from: Source): void {}
  info(_head: Head): void {}
  head(_head: Head, _end: boolean): void {}

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (this.#kept) this.buffer.add(bytes, at, to, end);
    return this.sink?.data(bytes, at, to, end) ?? true;
  }

  trailers(head: Head): void {
    if (this.#kept) this.buffer.holdTrailers(head).leave();
    this.sink?.trailers(head);
  }

  reset(reason: Reason): void {
    this.letGo();
    this.#owner.gone(reason);
    this.sink?.reset(reason);
  }

  resume(): void {
    this.#source.resume();
  }

  stop(reason: Reason): void {
    this.#source.stop(reason);
  }
}

/** A body that is there already, for the second try. */
export class KeptBody implements Source, Deferred {
  sink: Sink | null = null;
  readonly #player: Player;
  readonly #context: Pick<FilterContext, 'later'>;

  constructor(player: Player, context: Pick<FilterContext, 'later'>) {
    this.#player = player;
    this.#context = context;
  }

  resume(): void {
    this.#context.later(this);
  }

  stop(_reason: Reason): void {
    this.#player.leave();
  }

  runLater(): void {
    if (this.sink === null || this.#player.done) return;
    this.#player.play(this.sink);
    if (this.#player.done) this.#player.leave();
  }
}
