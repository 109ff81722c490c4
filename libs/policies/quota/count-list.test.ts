import { expect, test } from 'vitest';
import { CountList } from './count-list.ts';
import { QuotaCount } from './quota-count.ts';

const count = (name: string): QuotaCount => new QuotaCount('acme', 'gold', { name, requests: 10, per: 'day', timeZone: 'UTC', startsOn: 1, throttleRequests: 0, throttlePerMs: 0 }, 0);
const names = (list: CountList): string[] => Array.from({ length: list.length }, (_, i) => list.at(i).quota.name);

test('what one request had is not what the next one has, and a copy stays as it is', () => {
  const list = new CountList();
  for (const name of ['a', 'b', 'c']) list.add(count(name));
  const copy = list.copy();
  list.clear();
  expect(names(list)).toEqual([]);
  list.add(count('d'));
  expect(names(list)).toEqual(['d']);
  expect(list.copy().length).toBe(1);
  copy.add(count('e'));
  expect(names(copy)).toEqual(['a', 'b', 'c', 'e']);
});
