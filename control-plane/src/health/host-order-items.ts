import { encodeHostOrders, hostOrdersKind } from '@remora/policy-kit/host-orders';
import { DestinationItems } from '../push/destination-items.ts';
import type { HostOrderBook } from './host-order-book.ts';

/** Orders about hosts on their way to those who call them: items of kind `hostOrders`. */
export class HostOrderItems extends DestinationItems {
  constructor(book: HostOrderBook) {
    super(hostOrdersKind, {
      bodyOf(service) {
        const orders = book.ordersOf(service);
        return orders === null ? null : encodeHostOrders(orders);
      },
      onChange: (listener) => book.onChange(listener),
    });
  }
}
