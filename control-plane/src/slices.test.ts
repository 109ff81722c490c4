import type { Steps } from '@remora/core/steps';
import { expect, test } from 'vitest';
import { ManualTime } from './push/testdata/manual-time.ts';
import { createSlices } from './slices.ts';

test('a long computation lets others run between its slices, and answers what it would have at once', async () => {
  const time = new ManualTime();
  const order: string[] = [];
  function* work(name: string): Steps<string> {
    for (let step = 0; step < 30; step++) {
      time.advance(1);
      order.push(name);
      yield;
    }
    return name;
  }
  const slices = createSlices({ clock: time, soon: setImmediate });
  expect(await Promise.all([slices.run(work('a')), slices.run(work('b'))])).toEqual(['a', 'b']);
  expect(order.join('')).toMatch(/^(?:a{10}b{10}){3}$/);
});

test('what a step throws is thrown, and nothing runs after it', async () => {
  const time = new ManualTime();
  let steps = 0;
  function* work(): Steps<void> {
    for (;;) {
      if (++steps === 25) throw new Error('a document is wrong');
      time.advance(1);
      yield;
    }
  }
  await expect(createSlices({ clock: time, soon: setImmediate }).run(work())).rejects.toThrow('a document is wrong');
  expect(steps).toBe(25);
});
