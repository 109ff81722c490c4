import { describe, expect, test } from 'vitest';
import { decodeHostOrders, encodeHostOrders, hostOrdersMax } from './host-orders.ts';

describe('host orders', () => {
  test('survive the wire, in any order', () => {
    const orders = { takenOut: new Map([['b:1', 2], ['a:1', 1]]), takenBack: new Map([['c:1', 3]]) };
    const bytes = encodeHostOrders(orders);
    expect(decodeHostOrders(bytes)).toEqual(orders);
    expect(bytes).toEqual(encodeHostOrders({ ...orders, takenOut: new Map([['a:1', 1], ['b:1', 2]]) }));
  });

  test.each([
    ['no JSON', '{'], ['no object', '[]'], ['nothing taken back', '{"takenOut": {}}'], ['a text', '{"takenOut": {"a:1": "soon"}, "takenBack": {}}'], ['a time before all', '{"takenOut": {"a:1": 0}, "takenBack": {}}'],
    ['no host', '{"takenOut": {"": 1}, "takenBack": {}}'], ['too many', JSON.stringify({ takenOut: Object.fromEntries(Array.from({ length: hostOrdersMax + 1 }, (_, i) => [`a:${i}`, 1])), takenBack: {} })],
  ])('%s is none', (_name, text) => {
    expect(decodeHostOrders(Buffer.from(text))).toBeNull();
  });
});
