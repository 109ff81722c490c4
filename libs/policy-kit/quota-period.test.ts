import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { quotaPeriod, quotaPeriodBefore, type QuotaCalendar } from './quota-period.ts';

const at = (text: string): number => Date.parse(text);

function periodOf(calendar: Partial<QuotaCalendar>, when: string): readonly string[] {
  const { label, startMs, endMs } = quotaPeriod({ per: 'day', timeZone: 'UTC', startsOn: 1, ...calendar }, at(when));
  return [label, new Date(startMs).toISOString(), new Date(endMs).toISOString()];
}

describe('the period of a moment', () => {
  test.each([
    [{ per: 'hour' }, '2026-11-22T20:59:59.999Z', ['2026-11-22T20', '2026-11-22T20:00:00.000Z', '2026-11-22T21:00:00.000Z']],
    [{ per: 'day' }, '2026-11-22T00:00:00Z', ['2026-11-22', '2026-11-22T00:00:00.000Z', '2026-11-23T00:00:00.000Z']],
    [{ per: 'day', timeZone: 'Asia/Kolkata' }, '2026-11-22T18:30:00Z', ['2026-11-23', '2026-11-22T18:30:00.000Z', '2026-11-23T18:30:00.000Z']],
    [{ per: 'day', timeZone: 'Europe/Berlin' }, '2026-03-29T10:00:00Z', ['2026-03-29', '2026-03-28T23:00:00.000Z', '2026-03-29T22:00:00.000Z']],
    [{ per: 'day', timeZone: 'Europe/Berlin' }, '2026-10-25T10:00:00Z', ['2026-10-25', '2026-10-24T22:00:00.000Z', '2026-10-25T23:00:00.000Z']],
    [{ per: 'month' }, '2026-12-31T23:59:59Z', ['2026-12', '2026-12-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z']],
    [{ per: 'month', startsOn: 15 }, '2026-01-14T23:59:59Z', ['2025-12', '2025-12-15T00:00:00.000Z', '2026-01-15T00:00:00.000Z']],
    [{ per: 'month', timeZone: 'America/New_York', startsOn: 15 }, '2026-03-15T04:00:00Z', ['2026-03', '2026-03-15T04:00:00.000Z', '2026-04-15T04:00:00.000Z']],
    // Midnight is left out there: clocks go from 23:59 to 1:00.
    [{ per: 'day', timeZone: 'America/Santiago' }, '2026-09-06T12:00:00Z', ['2026-09-06', '2026-09-06T04:00:00.000Z', '2026-09-07T03:00:00.000Z']],
  ] as const)('%j at %s', (calendar, when, expected) => {
    expect(periodOf(calendar, when)).toEqual(expected);
  });

  test('an hour that comes twice is two periods', () => {
    const [first, second] = ['2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z'].map((when) => periodOf({ per: 'hour', timeZone: 'Europe/Berlin' }, when)[0]);
    expect(first).not.toBe(second);
  });

  test('periods follow each other without a gap, and every moment of one has the same', () => {
    const zones = ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'America/Santiago', 'Pacific/Apia'];
    fc.assert(fc.property(fc.constantFrom('hour', 'day', 'month'), fc.constantFrom(...zones), fc.integer({ min: 1, max: 28 }), fc.integer({ min: at('2020-01-01'), max: at('2035-01-01') }), (per, timeZone, startsOn, nowMs) => {
      const calendar = { per, timeZone, startsOn } as const;
      const period = quotaPeriod(calendar, nowMs);
      expect(period.startMs).toBeLessThanOrEqual(nowMs);
      expect(period.endMs).toBeGreaterThan(nowMs);
      expect(quotaPeriod(calendar, period.startMs)).toEqual(period);
      expect(quotaPeriod(calendar, period.endMs - 1)).toEqual(period);
      expect(quotaPeriodBefore(calendar, period).endMs).toBe(period.startMs);
      expect(quotaPeriod(calendar, period.endMs).label).not.toBe(period.label);
    }), { numRuns: 300 });
  });
});
