import { expect, test } from 'vitest';
import { LogLines } from './log-lines.ts';

interface Taken {
  readonly text: string;
  readonly done: (written?: boolean) => void;
}

/** Lines whose writes and timers the test ends itself. */
function start(): { readonly lines: LogLines; readonly taken: Taken[]; readonly timers: (() => void)[] } {
  const taken: Taken[] = [];
  const timers: (() => void)[] = [];
  return { lines: new LogLines((bytes, done) => taken.push({ text: bytes.toString(), done }), (_, run) => timers.push(run)), taken, timers };
}

test('lines are gathered for a while and written whole, whatever their characters', () => {
  const { lines, taken, timers } = start();
  lines.add('first');
  lines.add('grüße, 日本, 🙂');
  expect([taken.length, timers.length]).toEqual([0, 1]);
  timers[0]?.();
  expect(taken.map(({ text }) => text)).toEqual(['first\ngrüße, 日本, 🙂\n']);
});

test('behind a write that takes its time lines keep their order, and what it writes stays as it is', () => {
  const { lines, taken } = start();
  const made = Array.from({ length: 3000 }, (_, i) => `${i} ${'x'.repeat(100)}`);
  for (const line of made) lines.add(line);
  expect(taken.length).toBe(1);
  const [first] = taken;
  lines.flush();
  expect(taken.length).toBe(1);
  for (let i = 0; i < taken.length; i++) taken[i]?.done();
  lines.flush();
  expect(taken[0]).toBe(first);
  expect(taken.map(({ text }) => text).join('')).toBe(`${made.join('\n')}\n`);
  expect(lines.dropped).toBe(0);
});

test('a line of any length is one line', () => {
  const { lines, taken } = start();
  const long = 'é'.repeat(100_000);
  lines.add('short');
  lines.add(long);
  for (let i = 0; i < taken.length; i++) taken[i]?.done();
  lines.flush();
  expect(taken.map(({ text }) => text).join('')).toBe(`short\n${long}\n`);
});

test('behind a disk that is silent a bounded part waits; what is dropped or lost is counted', () => {
  const { lines, taken } = start();
  for (let i = 0; i < 40_000; i++) lines.add('x'.repeat(99));
  const { dropped } = lines;
  expect(dropped).toBeGreaterThan(20_000);
  taken[0]?.done(false);
  const lost = (taken[0]?.text.length ?? 0) / 100;
  expect(lines.dropped).toBe(dropped + lost);
  for (let i = 1; i < taken.length; i++) taken[i]?.done();
  lines.flush();
  expect(taken.reduce((sum, { text }) => sum + text.length / 100, 0)).toBe(40_000 - dropped);
});
