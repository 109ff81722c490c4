import { expect, test } from 'vitest';
import { parseRatio } from './units.ts';

test.each([
  ['99.9%', 0.999], ['0.1%', 0.001], ['20%', 0.2], ['100%', 1], ['0%', 0], ['33.333333%', 0.33333333], [0.5, 0.5], ['100.1%', null], ['-1%', null], ['1', null], [1.1, null],
])('the ratio %j is %j', (written, expected) => {
  expect(parseRatio(written)).toBe(expected);
});
