import { contentHash } from '@remora/core/hash';
import type { SubjectKey } from '@remora/core/subject';
import { encodeHostOrders, hostOrdersKind } from '@remora/policy-kit/host-orders';
import type { Planned } from '../compile/planner.ts';
import type { EncodedItem, StateItemSource } from '../push/state-items.ts';
import type { HostOrderBook } from './host-order-book.ts';

/** Orders about hosts on their way to those who call them: items of kind `hostOrders`, one for each destination that has any. */
export class HostOrderItems implements StateItemSource {
  readonly kind = hostOrdersKind;
  readonly #book: HostOrderBook;
  readonly #listeners = new Set<(subjects: readonly SubjectKey[] | 'all') => void>();
  /** Encoded once for all callers. */
  readonly #encoded = new Map<string, EncodedItem | null>();
  readonly #answers = new Map<SubjectKey, readonly EncodedItem[]>();
  #planned: Planned | null = null;

  constructor(book: HostOrderBook) {
    this.#book = book;
    book.onChange((service) => {
      this.#encoded.delete(service);
      const callers = [...this.#planned?.state.callers.get(service) ?? []];
      for (const caller of callers) this.#answers.delete(caller);
      if (callers.length > 0) this.#tell(callers);
    });
  }

  /** Who calls whom may have changed. */
  follow(planned: Planned): void {
    const first = this.#planned === null;
    this.#planned = planned;
    if (first) {
      this.#tell('all');
      return;
    }
    const concerned = [...planned.changed].filter((subject) => this.#forget(subject));
    if (concerned.length > 0) this.#tell(concerned);
  }

  itemsFor(subject: SubjectKey): readonly EncodedItem[] | null {
    const planned = this.#planned;
    if (planned === null) return null;
    let answer = this.#answers.get(subject);
    if (answer === undefined) {
      const destinations = planned.compilation.subjects.get(subject)?.destinations ?? [];
      answer = destinations.map((service) => this.#itemOf(service)).filter((item) => item !== null);
      this.#answers.set(subject, answer);
    }
    return answer;
  }

  onChange(listener: (subjects: readonly SubjectKey[] | 'all') => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether what it would get now is something else. */
  #forget(subject: SubjectKey): boolean {
    const before = this.#answers.get(subject);
    if (before === undefined) return false;
    this.#answers.delete(subject);
    const after = this.itemsFor(subject) ?? [];
    if (after.length === before.length && after.every((item, i) => item === before[i])) {
      this.#answers.set(subject, before);
      return false;
    }
    return true;
  }

  #itemOf(service: string): EncodedItem | null {
    let item = this.#encoded.get(service);
    if (item === undefined) {
      const orders = this.#book.ordersOf(service);
      const body = orders === null ? null : encodeHostOrders(orders);
      item = body === null ? null : { name: service, body, hash: contentHash(body) };
      this.#encoded.set(service, item);
    }
    return item;
  }

  #tell(subjects: readonly SubjectKey[] | 'all'): void {
    for (const listener of this.#listeners) listener(subjects);
  }
}
