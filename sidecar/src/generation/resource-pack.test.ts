import { contentHash } from '@remora/core/hash';
import { expect, it } from 'vitest';
import { packResources, unpackResources } from './resource-pack.ts';

it('carries every resource in a few shared buffers', () => {
  const resources = Array.from({ length: 2000 }, (_, i) => Buffer.alloc(i % 7 === 0 ? 0 : 100 + i, i)).map((bytes) => [contentHash(bytes), bytes] as const);
  const packs = packResources(resources);
  expect(packs.length).toBeLessThan(5);
  const unpacked = new Map(packs.flatMap((pack) => [...unpackResources(pack)]));
  expect(unpacked.size).toBe(new Set(resources.map(([hash]) => hash)).size);
  for (const [hash, bytes] of resources) expect(Buffer.from(unpacked.get(hash) ?? [])).toEqual(bytes);
});

it('of nothing is nothing', () => {
  expect(packResources([])).toEqual([]);
});
