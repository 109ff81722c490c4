import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { seededRandom } from '@remora/core/random';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CellTable } from './cell-table.ts';
import { createFixedWindow } from './windows.ts';
import { KeyHash } from './key-hash.ts';

const algorithm = createFixedWindow({ requests: 10, perMs: 1000, cost: 1 });

function table(cells: number, shared = false): CellTable {
  const bytes = CellTable.bytesFor(cells);
  return new CellTable(shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes), cells);
}

describe('cell table', () => {
  test.each([false, true])('finds every key again while there is room in its set (shared: %s)', (shared) => {
    fc.assert(fc.property(fc.uniqueArray(fc.integer(), { maxLength: 8 }), (lows) => {
      const cells = table(8, shared);
      const found = lows.map((low) => {
        const at = cells.acquire(0, low | 1, algorithm, 0);
        cells.release(0);
        cells.cells[at] = 5;
        return at;
      });
      const distinct = new Map(lows.map((low, i) => [low | 1, found[i]]));
      for (const [low, at] of distinct) {
        expect(cells.acquire(0, low, algorithm, 0)).toBe(at);
        cells.release(0);
      }
      expect(cells.overflows).toBe(0);
    }));
  });

  test('a new key in a full set takes the stalest cell, emptied', () => {
    const cells = table(8);
    for (let key = 0; key < 8; key += 1) cells.cells[cells.acquire(0, key * 2 + 1, algorithm, 0)] = 20 - key;
    const at = cells.acquire(0, 99, algorithm, 0);
    expect(at).toBe(7 * 3);
    expect(cells.cells[at]).toBe(0);
    expect(cells.overflows).toBe(1);
  });

  test('what has expired is taken without a loss', () => {
    const cells = table(8);
    for (let key = 0; key < 8; key += 1) cells.cells[cells.acquire(0, key * 2 + 1, algorithm, 0)] = 1;
    cells.acquire(0, 99, algorithm, 2000);
    expect(cells.overflows).toBe(0);
  });

  test('threads agree on one seed', () => {
    const buffer = new SharedArrayBuffer(CellTable.bytesFor(8));
    const first = new CellTable(buffer, 8).seed(() => 0.25);
    expect(new CellTable(buffer, 8).seed(() => 0.75)).toEqual(first);
    expect(first.every((word) => word !== 0)).toBe(true);
  });

  test('the lock of a thread that died is taken over', () => {
    const cells = table(8, true);
    cells.acquire(0, 1, algorithm, 0);
    cells.acquire(0, 1, algorithm, 0);
    expect(cells.stolenLocks).toBe(1);
  });
});

test('threads that take from one table at once are allowed exactly what there is', async () => {
  const data = { cellCount: 64, keys: 5, tries: 200_000, burst: 10_000 };
  const buffer = new SharedArrayBuffer(CellTable.bytesFor(data.cellCount));
  const workers = Array.from({ length: 3 }, () => new Worker(new URL('testdata/take-worker.ts', import.meta.url), { workerData: { ...data, buffer } }));
  const results = await Promise.all(workers.map(async (worker) => {
    const [message] = (await once(worker, 'message')) as [{ allowed: number[]; stolenLocks: number }];
    await worker.terminate();
    return message;
  }));
  const totals = Array.from({ length: data.keys }, (_, key) => results.reduce((sum, { allowed }) => sum + (allowed[key] ?? 0), 0));
  expect(totals).toEqual(totals.map(() => data.burst));
  expect(results.map((result) => result.stolenLocks)).toEqual([0, 0, 0]);
});

describe('key hash', () => {
  function hashOf(seed: readonly [number, number], parts: readonly string[]): string {
    const hash = new KeyHash(...seed);
    hash.start();
    for (const [i, part] of parts.entries()) hash.add(i + 1, part);
    hash.finish();
    return `${hash.high}/${hash.low}`;
  }

  test('equal parts give equal hashes, different ones different hashes', () => {
    fc.assert(fc.property(fc.array(fc.string(), { minLength: 1 }), fc.array(fc.string(), { minLength: 1 }), (a, b) => {
      const equal = JSON.stringify(a) === JSON.stringify(b);
      expect(hashOf([1, 2], a) === hashOf([1, 2], b)).toBe(equal);
      expect(hashOf([1, 2], a)).toBe(hashOf([1, 2], [...a]));
    }));
  });

  test('borders between parts count', () => {
    expect(hashOf([1, 2], ['a', 'bc'])).not.toBe(hashOf([1, 2], ['ab', 'c']));
    expect(hashOf([1, 2], ['', 'a'])).not.toBe(hashOf([1, 2], ['a', '']));
  });

  test('without the seed nobody can tell which set a key falls into', () => {
    const random = seededRandom(3);
    const sets = new Set(Array.from({ length: 64 }, () => hashOf([random.next() * 2 ** 32, random.next() * 2 ** 32], ['10.0.0.1'])));
    expect(sets.size).toBe(64);
  });

  test('keys spread evenly over the sets', () => {
    const counts = Array.from({ length: 256 }, () => 0);
    const hash = new KeyHash(11, 13);
    for (let i = 0; i < 25_600; i += 1) {
      hash.start();
      hash.add(1, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
      hash.finish();
      const set = (hash.high >>> 0) % 256;
      counts[set] = (counts[set] ?? 0) + 1;
    }
    expect(Math.max(...counts)).toBeLessThan(150);
    expect(Math.min(...counts)).toBeGreaterThan(55);
  });
});
