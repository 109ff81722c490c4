import { describe, expect, test } from 'vitest';
import { ageText, bytesText, spanText } from './age-text.ts';

const now = Date.UTC(2026, 10, 22, 12);

describe('ages, spans and sizes', () => {
  test.each([
    ['2026-11-22T11:59:59.500Z', '500 ms ago'], ['2026-11-22T11:59:48.000Z', '12 s ago'], ['2026-11-22T11:57:00.000Z', '3 min ago'],
    ['2026-11-22T10:00:00.000Z', '2 h ago'], ['2026-11-17T12:00:00.000Z', '5 d ago'], ['2026-11-22T12:05:00.000Z', 'in 5 min'],
    [null, '-'], ['', '-'], ['not an instant', 'not an instant'],
  ])('%s → %s', (instant, text) => {
    expect(ageText(instant, now)).toBe(text);
  });

  test.each([[0, '0 ms'], [999, '999 ms'], [1_000, '1 s'], [59_999, '59 s'], [172_799_999, '47 h'], [172_800_000, '2 d']])('%s ms → %s', (ms, text) => {
    expect(spanText(ms)).toBe(text);
  });

  test.each([[0, '0 B'], [1023, '1023 B'], [1024, '1.0 KiB'], [5 * 1024 ** 2, '5.0 MiB']])('%s bytes → %s', (bytes, text) => {
    expect(bytesText(bytes)).toBe(text);
  });
});
