import type { Clock } from '@remora/core/clock';
import { breakerOrdersKind, decodeBreakerOrder, type BreakerOrder } from '@remora/policy-kit/breaker-orders';
import type { FactBook } from '@remora/policy-kit/facts';

/** What somebody has said about the breaker of a destination, for as long as it holds. */
export class OrderedState {
  static readonly kind = breakerOrdersKind;
  readonly #book: FactBook;
  readonly #service: string;
  readonly #clock: Pick<Clock, 'wallMs'>;
  #seen = 0;
  #order: BreakerOrder | null = null;

  constructor(book: FactBook, service: string, clock: Pick<Clock, 'wallMs'>) {
    this.#book = book;
    this.#service = service;
    this.#clock = clock;
  }

  /** Null: nobody has, or it is over. Cheap: asked at each attempt. */
  now(): BreakerOrder | null {
    if (this.#book.version !== this.#seen) {
      this.#seen = this.#book.version;
      const body = this.#book.get(this.#service);
      this.#order = body === undefined ? null : decodeBreakerOrder(body);
    }
    if (this.#order !== null && this.#order.untilMs <= this.#clock.wallMs()) this.#order = null;
    return this.#order;
  }
}
