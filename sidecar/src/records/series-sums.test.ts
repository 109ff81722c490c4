import { bucketOf } from '@remora/telemetry/histogram';
import { expect, it } from 'vitest';
import { SeriesRows, overflowName, rowsMax } from './series-rows.ts';
import { pastSeriesMax, SeriesSums } from './series-sums.ts';

const sourceOf = (rows: SeriesRows): { values: Float64Array; names: typeof rows.names } => ({ values: new Float64Array(rows.memory), names: rows.names });

it('adds up the rows of all threads, and keeps those of the dead', () => {
  const sums = new SeriesSums();
  const threads = [new SeriesRows(), new SeriesRows()];
  threads.forEach((rows, i) => sums.setSource(i, sourceOf(rows)));
  threads[0]?.row('gateway', 'other', '').began();
  for (const rows of threads) {
    const row = rows.row('inbound', 'orders', '');
    row.began();
    row.began();
    row.ended(200, 10, 100, 200, 1);
    row.grpcEnded(0);
    row.grpcEnded(16);
    row.grpcEnded(999);
  }
  const expected = { side: 'inbound', route: 'orders', requests: 2, statusClasses: [0, 0, 2, 0, 0, 0], bytesIn: 200, bytesOut: 400, retries: 2, grpcCodes: [2, ...Array<number>(15).fill(0), 2, 2] };
  const before = sums.read().find(({ route }) => route === 'orders');
  expect(before).toMatchObject({ ...expected, active: 2, latency: { sum: 20, max: 10 } });
  expect(before?.codes).toEqual(new Map([[200, 2]]));
  expect(before?.latency.counts[bucketOf(10)]).toBe(2);
  sums.retire(0);
  expect(sums.read().find(({ route }) => route === 'orders')).toMatchObject({ ...expected, active: 1 });
  expect(sums.read().find(({ route }) => route === 'other')).toBeUndefined();
});

it('counts what does not fit in the overflow series of its side', () => {
  const rows = new SeriesRows();
  const sums = new SeriesSums();
  sums.setSource(0, sourceOf(rows));
  for (let i = 0; i < rowsMax + 10; i++) {
    const row = rows.row('outbound', `route-${i}`, 'd');
    row.began();
    row.ended(500 + (i % 40), 1, 0, 0, 0);
  }
  const readings = sums.read();
  expect(readings).toHaveLength(rowsMax - 2);
  expect(readings.find(({ route, side }) => side === 'outbound' && route === overflowName)?.requests).toBe(13);
});

it('keeps at most 32 codes of a series, and counts the classes of all', () => {
  const rows = new SeriesRows();
  const row = rows.row('inbound', '', '');
  for (let code = 400; code < 450; code++) {
    row.began();
    row.ended(code, 1, 0, 0, 0);
  }
  row.began();
  row.ended(0, 1, 0, 0, 0);
  const sums = new SeriesSums();
  sums.setSource(0, sourceOf(rows));
  const [reading] = sums.read();
  expect(reading?.codes.size).toBe(32);
  expect(reading?.statusClasses).toEqual([1, 0, 0, 0, 50, 0]);
});

it('says why requests were refused, by series and policy, bounded', () => {
  const sums = new SeriesSums();
  sums.setSource(0, sourceOf(new SeriesRows()));
  const count = { side: 'inbound', route: 'r', destination: '', target: '', reason: 'rate-limited', kind: 'rateLimit', policy: 'p', shadow: false, count: 2 };
  const rows = new SeriesRows();
  sums.setSource(0, sourceOf(rows));
  rows.row('inbound', 'r', '').began();
  sums.addRefusals([count, count, { ...count, shadow: true }]);
  expect(sums.read()[0]?.refusals).toEqual([
    { reason: 'rate-limited', kind: 'rateLimit', policy: 'p', shadow: false, count: 4 }, { reason: 'rate-limited', kind: 'rateLimit', policy: 'p', shadow: true, count: 2 },
  ]);
});

it('forgets the open connections and older generations of a thread that died, and keeps how many there were', () => {
  const [dead, other] = [new SeriesRows(), new SeriesRows()];
  const sums = new SeriesSums();
  sums.setSource(0, sourceOf(dead));
  sums.setSource(1, sourceOf(other));
  for (const rows of [dead, other]) {
    rows.events.count('connections_total-gateway-http2', 3);
    rows.events.count('connections_active-gateway-http2', 2);
    rows.events.count('generation_older', 1);
  }
  sums.retire(0);
  expect(Object.fromEntries(sums.readEvents())).toMatchObject({ 'connections_total-gateway-http2': 6, 'connections_active-gateway-http2': 2, generation_older: 1 });
});

it('gives rows of Routes that are gone to others, and keeps what they counted', () => {
  const sums = new SeriesSums();
  const rows = new SeriesRows(undefined, {
    onReleased: (released) => {
      sums.fold(0, released);
      rows.reuse(released);
    },
  });
  sums.setSource(0, sourceOf(rows));
  const count = (route: string): void => {
    const row = rows.row('gateway', route, '');
    row.began();
    row.ended(200, 1, 10, 20, 0);
  };
  const total = (): number => sums.read().reduce((sum, { requests }) => sum + requests, 0);
  let before = 0;
  for (let round = 0; round < 6; round++) {
    for (let i = 0; i < 800; i++) count(`${round}-${i}`);
    const held = rows.row('gateway', `${round}-held`, '');
    held.began();
    expect(rows.crowded).toBe(true);
    rows.release([`${round}-7`]);
    expect(rows.crowded).toBe(false);
    expect(held.released).toBe(false);
    held.ended(200, 1, 0, 0, 0);
    before += 801;
    expect(total(), `round ${round}`).toBe(before);
  }
  const read = sums.read();
  // What is in use comes first; of what is gone the newest have their names, and nothing was counted as overflow while there was room.
  expect(read[0]).not.toHaveProperty('retired');
  expect(read.at(-1)).toMatchObject({ retired: true });
  expect(read.filter(({ retired }) => retired === true).length).toBeLessThanOrEqual(pastSeriesMax);
  count('new');
  expect(sums.read().find(({ route }) => route === 'new')).toMatchObject({ requests: 1, bytesIn: 10 });
});

it('tells whoever holds a row that it was given away', () => {
  const rows = new SeriesRows();
  const row = rows.row('gateway', 'gone', '');
  rows.release([]);
  expect(row.released).toBe(true);
  expect(rows.row('gateway', 'gone', '')).not.toBe(row);
});

it('tells the targets of a Route apart, refusals too', () => {
  const rows = new SeriesRows();
  const sums = new SeriesSums();
  sums.setSource(0, sourceOf(rows));
  for (const [target, status] of [['version=v1', 200], ['version=v2', 503], ['', 200]] as const) {
    const row = rows.row('outbound', 'split', 'orders', target);
    row.began();
    row.ended(status, 1, 0, 0, 0);
  }
  sums.addRefusals([{ side: 'outbound', route: 'split', destination: 'orders', target: 'version=v2', reason: 'timeout', kind: 'timeout', policy: 'p', shadow: false, count: 2 }]);
  expect(sums.read().map(({ target, statusClasses, refusals }) => [target, statusClasses[5], refusals.length])).toEqual([['version=v1', 0, 0], ['version=v2', 1, 1], ['', 0, 0]]);
  // Rows that are given back keep their target too.
  const released: number[] = [];
  rows.release([]);
  for (const row of [3, 4, 5]) released.push(row);
  sums.fold(0, released);
  rows.reuse(released);
  expect(sums.read().map(({ target, requests, retired }) => [target, requests, retired])).toEqual([['version=v1', 1, true], ['version=v2', 1, true], ['', 1, true]]);
});
