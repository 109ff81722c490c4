import { decodeBreakerOrder } from '@remora/policy-kit/breaker-orders';
import { ManualClock } from '@remora/testing/manual-clock';
import { ManualTimers } from '@remora/testing/manual-timers';
import { expect, test } from 'vitest';
import { createMemoryStore } from '../store/memory-store.ts';
import { BreakerOrderItems } from './breaker-order-items.ts';
import { BreakerOrderBook } from './breaker-order-book.ts';

const order = { service: 'payments', what: 'open', author: 'ana', reason: 'the ledger is being repaired' } as const;

function makeBook(): { readonly book: BreakerOrderBook; readonly time: ManualTimers; readonly again: () => BreakerOrderBook } {
  const time = new ManualTimers(new ManualClock());
  const store = createMemoryStore({ clock: time.clock });
  const again = (): BreakerOrderBook => new BreakerOrderBook({ store, clock: time.clock, timers: time });
  return { book: again(), time, again };
}

test('an order holds until its end, also over a restart, and is replaced by the next', async () => {
  const { book, time, again } = makeBook();
  const told: string[] = [];
  book.onChange((service) => told.push(service));
  const opened = book.take(order, 60_000);
  expect(again().of('payments')).toEqual({ ...order, atMs: opened.atMs, untilMs: opened.atMs + 60_000 });
  expect(book.take({ ...order, what: 'closed' }, 120_000).what).toBe('closed');
  await time.advance(60_001);
  expect([book.of('payments')?.what, book.list().length, told]).toEqual(['closed', 1, ['payments', 'payments']]);
  await time.advance(60_001);
  expect([book.of('payments'), book.list().length, again().list().length, told.length]).toEqual([null, 0, 0, 3]);
});

test('what callers get is what was said', () => {
  const { book } = makeBook();
  const items = new BreakerOrderItems(book);
  book.take(order, 60_000);
  expect(items.itemsFor('service/web')).toBeNull();
  items.follow({ changed: new Set(), state: { callers: new Map() }, compilation: { subjects: new Map([['service/web', { destinations: ['payments', 'orders'] }]]) } } as never);
  const [item, ...others] = items.itemsFor('service/web') ?? [];
  expect([item?.name, decodeBreakerOrder(item?.body ?? new Uint8Array())?.reason, others]).toEqual(['payments', order.reason, []]);
});

test.each([1, -1])('somebody sets the clock by %i h: what was said for a minute holds for a minute, and callers are told its new end', async (hours) => {
  const { book, time, again } = makeBook();
  book.take(order, 60_000);
  const told: string[] = [];
  book.onChange((service) => told.push(service));
  await time.advance(20_000);
  time.clock.stepWall(hours * 3_600_000);
  expect(book.of('payments')?.what).toBe('open');
  await time.advance(5_000);
  expect([told, (book.of('payments')?.untilMs ?? 0) - time.clock.wallMs()]).toEqual([['payments'], 35_000]);
  expect(again().of('payments')?.what).toBe('open');
  await time.advance(34_999);
  expect(book.of('payments')?.what).toBe('open');
  await time.advance(1);
  expect([book.of('payments'), told.length]).toEqual([null, 2]);
});
