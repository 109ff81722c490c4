import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Http2Stream } from './http2-stream.ts';
import { StreamTable } from './stream-table.ts';

const streamOf = (id: number): Http2Stream => ({ id }) as Http2Stream;
const ids = fc.integer({ min: 0, max: 200 }).map((n) => 2 * n + 1);

test('holds what a Map would', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.boolean(), ids), { maxLength: 300 }), (steps) => {
    const table = new StreamTable();
    const model = new Map<number, Http2Stream>();
    for (const [adds, id] of steps) {
      if (adds && !model.has(id)) {
        const stream = streamOf(id);
        table.add(stream);
        model.set(id, stream);
      } else {
        table.delete(id);
        model.delete(id);
      }
      expect(table.size).toBe(model.size);
      expect(table.get(id)).toBe(model.get(id));
    }
    expect(table.list()).toEqual([...model.values()].sort((a, b) => a.id - b.id));
    for (let id = 1; id < 410; id += 2) expect(table.get(id)).toBe(model.get(id));
  }));
});

test('a list stays as it is while its streams go', () => {
  const table = new StreamTable();
  for (const id of [9, 1, 5]) table.add(streamOf(id));
  const seen: number[] = [];
  for (const { id } of table.list()) {
    seen.push(id);
    table.delete(id);
  }
  expect(seen).toEqual([1, 5, 9]);
  expect(table.size).toBe(0);
});
