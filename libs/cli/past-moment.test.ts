import { describe, expect, test } from 'vitest';
import { pastMoment } from './past-moment.ts';

describe('--at', () => {
  /** Noon on the clock of this machine, wherever it is. */
  const noonMs = new Date(2026, 10, 22, 12).getTime();
  const local = (day: number, hours: number, minutes: number, seconds = 0): string => new Date(2026, 10, day, hours, minutes, seconds).toISOString();

  test.each([
    ['41', '41'],
    ['#41', '41'],
    ['30m', local(22, 11, 30)],
    ['9:05', local(22, 9, 5)],
    ['12:00', local(22, 12, 0)],
    ['11:59:30', local(22, 11, 59, 30)],
    ['2027-01-31T14:02:00Z', '2027-01-31T14:02:00.000Z'],
    ['2027-01-31T14:02:00+02:00', '2027-01-31T12:02:00.000Z'],
  ])('%s', (text, expected) => {
    expect(pastMoment(text, noonMs)).toBe(expected);
  });

  test('a time of the day that is still to come was yesterday', () => {
    expect(pastMoment('14:02', noonMs)).toBe(local(21, 14, 2));
  });

  test.each(['', 'yesterday', '25:00', '14:60', '-1', '2027-13-01', '1e3'])('%j is refused', (text) => {
    expect(() => pastMoment(text, noonMs)).toThrow('--at');
  });

  test('absent stays absent', () => {
    expect(pastMoment(undefined, noonMs)).toBeUndefined();
  });
});
