import { expect, test } from 'vitest';
import { soak } from './soak.ts';
import { trendOf, trendText } from './verdict.ts';

const noise = { absolute: 1, share: 0 };
const points = (value: (i: number) => number): { atMs: number; value: number }[] => Array.from({ length: 50 }, (_, i) => ({ atMs: i * 1_000, value: value(i) }));

test.each<[string, (i: number) => number, boolean]>([
  ['what stays, whatever its peaks', (i) => 10 + (i % 10 === 0 ? 100 : 0), true],
  ['what shrinks', (i) => 100 - i, true],
  ['noise', (i) => 10 + (i % 3) / 4, true],
  ['steps up', (i) => (i < 25 ? 10 : 12), false],
  ['grows slowly', (i) => 10 + i / 20, false],
])('%s', (what, value, ok) => expect(trendOf(what, points(value), noise).ok).toBe(ok));

test('the slope is per hour, and single peaks do not bend it', () => {
  expect(trendOf('x', points((i) => i + (i === 30 ? 1_000 : 0)), noise).perHour).toBeCloseTo(3_600, -1);
});

/** The short form; `npm run soak -- --minutes 20` is the long one. */
test('a minute of churn leaves nothing behind', { timeout: 300_000 }, async () => {
  const said: string[] = [];
  const { trends, reasons, answered, ok } = await soak({ minutes: 1, editsPerSecond: 2, pauseMs: 20, bundled: true, say: (line) => said.push(line) });
  const grew = trends.filter((trend) => !trend.ok).map(trendText);
  expect(grew, [...grew, ...said].join('\n')).toEqual([]);
  expect(ok, JSON.stringify(reasons)).toBe(true);
  expect(answered).toBeGreaterThan(500);
});
