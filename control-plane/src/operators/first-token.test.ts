import { systemClock } from '@remora/core/clock';
import { expect, test } from 'vitest';
import { createMemoryStore } from '../store/memory-store.ts';
import { parseApiToken } from './api-token-text.ts';
import type { ApiTokenParts } from './api-token-text.ts';
import { FirstToken } from './first-token.ts';

const partsOf = (text: string): ApiTokenParts => {
  const parts = parseApiToken(text);
  if (typeof parts === 'string') throw new Error(parts);
  return parts;
};

test('is good until it ends, over restarts, and is never made twice by itself', () => {
  const store = createMemoryStore({ clock: systemClock });
  const first = new FirstToken(store);
  expect(first.neverMade).toBe(true);
  const parts = partsOf(first.make());
  expect(first.check(parts)).toBe(true);
  expect(first.check({ ...parts, secret: 'x'.repeat(43) })).toBe(false);
  expect(first.check({ ...parts, id: 'x'.repeat(12) })).toBe(false);
  const again = new FirstToken(store);
  expect([again.neverMade, again.waiting, again.check(parts)]).toEqual([false, true, true]);
  again.end();
  expect(again.check(parts)).toBe(false);
  const last = new FirstToken(store);
  expect([last.neverMade, last.waiting, last.check(parts)]).toEqual([false, false, false]);
});

test('another one takes the place of the one before', () => {
  const first = new FirstToken(createMemoryStore({ clock: systemClock }));
  const [one, two] = [partsOf(first.make()), partsOf(first.make())];
  expect([first.check(one), first.check(two)]).toEqual([false, true]);
});

test('nothing checks where none was made', () => {
  const first = new FirstToken(createMemoryStore({ clock: systemClock }));
  expect(first.check({ id: '', secret: '' })).toBe(false);
});
