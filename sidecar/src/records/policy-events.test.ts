import { describe, expect, test } from 'vitest';
import { eventsMax } from './policy-events.ts';
import { SeriesRows } from './series-rows.ts';
import { SeriesSums } from './series-sums.ts';

function thread(sums: SeriesSums, id: number): SeriesRows {
  const rows = new SeriesRows();
  sums.setSource(id, { values: new Float64Array(rows.memory), names: rows.names });
  return rows;
}

describe('what policies count', () => {
  test('is added up over threads, and stays when one dies', () => {
    const sums = new SeriesSums();
    const [first, second] = [thread(sums, 1), thread(sums, 2)];
    const delayed = first.events.counter('rateLimit_delayed');
    delayed();
    delayed(3);
    second.events.count('rateLimit_delayed', 5);
    second.events.count('retry_attempted', 1);
    expect([...sums.readEvents()]).toEqual([['rateLimit_delayed', 9], ['retry_attempted', 1]]);
    sums.retire(2);
    thread(sums, 3).events.count('retry_attempted', 1);
    expect([...sums.readEvents()]).toEqual([['rateLimit_delayed', 9], ['retry_attempted', 2]]);
  });

  test('is 0 where a filter asked for a counter that it did not need yet', () => {
    const { events } = new SeriesRows();
    events.counter('fault_aborted');
    expect([...events.toMap()]).toEqual([['fault_aborted', 0]]);
  });

  test('does not reach into the series', () => {
    const rows = new SeriesRows();
    for (let i = 0; i < 2000; i++) rows.row('inbound', `route-${i}`, '').ended(599, 1e9, 1e9, 1e9, 9);
    rows.events.count('fault_aborted', 2);
    expect([...rows.events.toMap()]).toEqual([['fault_aborted', 2]]);
  });

  test('beyond the bounds is counted together', () => {
    const { events } = new SeriesRows();
    for (let i = 0; i < eventsMax + 10; i++) events.count(`kind_event${i}`, 1);
    events.count(`kind_${'x'.repeat(200)}`, 1);
    const sums = events.toMap();
    expect(sums.size).toBe(eventsMax);
    expect(sums.get('_overflow')).toBe(12);
  });
});
