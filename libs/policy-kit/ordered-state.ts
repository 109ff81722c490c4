import type { Clock } from '@remora/core/clock';
import { breakerOrdersKind, decodeBreakerOrder, type BreakerOrder } from './breaker-orders.ts';
import type { ControlPlaneTime } from './control-plane-time.ts';
import type { FactBook } from './facts.ts';

/** What somebody has said about the breaker of a destination, for as long as it holds: its end is a time of the control plane, whatever our wall clock says. */
export class OrderedState {
  static readonly kind = breakerOrdersKind;
  readonly #book: FactBook;
  readonly #service: string;
  readonly #clock: Clock;
  readonly #time: ControlPlaneTime;
  #seen = 0;
  #timeSeen = 0;
  #order: BreakerOrder | null = null;
  /** Monotonic. */
  #untilMs = 0;

  constructor(book: FactBook, service: string, { clock, time }: { readonly clock: Clock; readonly time: ControlPlaneTime }) {
    this.#book = book;
    this.#service = service;
    this.#clock = clock;
    this.#time = time;
  }

  /** Null: nobody has, or it is over. Cheap: asked at each attempt. */
  now(): BreakerOrder | null {
    if (this.#book.version !== this.#seen || this.#time.version !== this.#timeSeen) this.#read();
    return this.#order === null || this.#untilMs <= this.#clock.monotonicMs() ? null : this.#order;
  }

  /** Of the order that holds, milliseconds. */
  get leftMs(): number {
    return this.#untilMs - this.#clock.monotonicMs();
  }

  /** The same order keeps its end, unless more is known of the control plane's clock: a step of ours is none of its. */
  #read(): void {
    const body = this.#book.get(this.#service);
    const order = body === undefined ? null : decodeBreakerOrder(body);
    if (order !== null && (order.untilMs !== this.#order?.untilMs || this.#time.version !== this.#timeSeen)) this.#untilMs = this.#time.monotonicOf(order.untilMs);
    this.#order = order;
    this.#seen = this.#book.version;
    this.#timeSeen = this.#time.version;
  }
}
