import { contentHash } from '@remora/core/hash';
import { expect, it } from 'vitest';
import { packResources, unpackResources, type PackedEntry } from './resource-pack.ts';

function entriesOf(count: number, sizeOf: (i: number) => number | null): PackedEntry[] {
  return Array.from({ length: count }, (_, i): PackedEntry => {
    const size = sizeOf(i);
    return [contentHash(`${i}`), size === null ? null : Buffer.alloc(size, i)];
  });
}

function comesBack(entries: readonly PackedEntry[]): void {
  const unpacked = [...packResources(entries)].flatMap((pack) => [...unpackResources(pack)]);
  expect(unpacked.map(([hash]) => hash)).toEqual(entries.map(([hash]) => hash));
  for (const [i, [, bytes]] of entries.entries()) {
    const found = unpacked[i]?.[1] ?? null;
    expect(found === null ? null : Buffer.from(found)).toEqual(bytes);
  }
}

it('carries every resource in a few shared buffers, and of what is known the hash alone', () => {
  const entries = entriesOf(2000, (i) => (i % 5 === 0 ? null : i % 7 === 0 ? 0 : 100 + i));
  const packs = [...packResources(entries)];
  expect(packs.length).toBeLessThan(5);
  expect(packs.every((pack) => pack instanceof SharedArrayBuffer)).toBe(true);
  comesBack(entries);
});

it('copies what is small', () => {
  const entries = entriesOf(9, (i) => (i === 3 ? null : 200));
  expect([...packResources(entries)]).toEqual([expect.any(ArrayBuffer)]);
  comesBack(entries);
});

it('of nothing is nothing', () => {
  expect([...packResources([])]).toEqual([]);
});
