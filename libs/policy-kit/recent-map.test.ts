import { expect, test } from 'vitest';
import { RecentMap } from './recent-map.ts';

test('keeps what was used last, and never more than twice its size', () => {
  const map = new RecentMap<number>(4);
  for (let i = 0; i < 100; i++) {
    map.set(`k${i}`, i);
    expect(map.get('k0')).toBe(0);
    expect(map.size).toBeLessThanOrEqual(8);
  }
  expect(map.get('k50')).toBeUndefined();
  expect(map.get('k99')).toBe(99);
  map.delete('k99');
  expect(map.get('k99')).toBeUndefined();
  map.clear();
  expect(map.size).toBe(0);
});
