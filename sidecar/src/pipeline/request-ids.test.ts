import { expect, test } from 'vitest';
import { isRequestId, RequestIds } from './request-ids.ts';

test('ids count on behind their prefix, across digits', () => {
  const ids = new RequestIds('0123456789abcdef');
  const made = Array.from({ length: 36 * 36 + 1 }, () => ids.make());
  expect(made[0]).toBe('0123456789abcdef0000000001');
  expect(made[34]).toBe('0123456789abcdef000000000z');
  expect(made[35]).toBe('0123456789abcdef0000000010');
  expect(made[36 * 36 - 1]).toBe('0123456789abcdef0000000100');
  expect(new Set(made).size).toBe(made.length);
  expect(made.every((id) => id.length === 26 && isRequestId(id))).toBe(true);
});

test('two makers have nothing in common', () => {
  expect(new RequestIds().make().slice(0, 16)).not.toBe(new RequestIds().make().slice(0, 16));
});
