import { expect, test } from 'vitest';
import { ResetMemory } from './reset-memory.ts';

test('frames for streams that we reset are ignored, for those that the peer reset not', () => {
  const memory = new ResetMemory();
  expect(memory.ignores(1)).toBe(false);
  memory.add(1, true);
  memory.add(3, false);
  expect([1, 3, 5].map((id) => memory.ignores(id))).toEqual([true, false, false]);
});

test('what we reset and had to forget is still ignored; nothing grows', () => {
  const memory = new ResetMemory();
  for (let id = 1; id < 2001; id += 2) memory.add(id, true);
  expect([1, 999, 1999].map((id) => memory.ignores(id))).toEqual([true, true, true]);
  expect(memory.ignores(2001)).toBe(false);
  for (let id = 2001; id < 4001; id += 2) memory.add(id, false);
  expect(memory.ignores(3999)).toBe(false);
});
