import { breakerOrdersKind, encodeBreakerOrder } from '@remora/policy-kit/breaker-orders';
import { DestinationItems } from '../push/destination-items.ts';
import type { BreakerOrderBook } from './breaker-order-book.ts';

/** Orders about breakers on their way to those who call the service: items of kind `breakerOrders`. */
export class BreakerOrderItems extends DestinationItems {
  constructor(book: BreakerOrderBook) {
    super(breakerOrdersKind, {
      bodyOf(service) {
        const order = book.of(service);
        return order === null ? null : encodeBreakerOrder(order);
      },
      onChange: (listener) => book.onChange(listener),
    });
  }
}
