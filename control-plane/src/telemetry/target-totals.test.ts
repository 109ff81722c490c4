import { expect, test } from 'vitest';
import { TargetTotals, targetText } from './target-totals.ts';

test('keeps as many targets as it has places; one that nobody reported for an hour goes first', () => {
  const totals = new TargetTotals(2);
  const see = (target: string, now: number): void => totals.seen({ destination: 'orders', target }, now);
  see('version=v1', 0);
  see('version=v2', 1);
  see('version=v3', 2);
  expect([totals.leftOut, totals.read('orders', { version: 'v3' })]).toEqual([1, null]);
  see('version=v1', 3_600_000);
  see('version=v3', 3_600_001);
  expect(totals.read('orders', { version: 'v2' })).toBeNull();
  expect(totals.read('orders', { version: 'v1' })).not.toBeNull();
  expect(totals.read('orders', { version: 'v3' })).toMatchObject({ requests: 0, reportedAtMs: 3_600_001 });
  expect(totals.leftOut).toBe(1);
});

test('names a target as sidecars do', () => {
  expect(targetText({ version: 'v2', 'a-b': '1', a: '2' })).toBe('a-b=1,a=2,version=v2');
});
