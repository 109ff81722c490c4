import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { slabBytes, SlabPool, type Piece } from './slab-pool.ts';

test('what is kept reads as it was, however much is kept and given back around it', () => {
  const step = fc.oneof(fc.record({ kind: fc.constant('keep' as const), bytes: fc.integer({ min: 0, max: 3 * slabBytes }) }), fc.record({ kind: fc.constant('giveBack' as const), which: fc.nat() }));
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const pool = new SlabPool(4);
    const kept: { readonly pieces: Piece[]; readonly bytes: Buffer }[] = [];
    let seed = 1;
    for (const one of steps) {
      if (one.kind === 'keep') {
        const bytes = Buffer.alloc(one.bytes, seed);
        seed = (seed % 255) + 1;
        const pieces: Piece[] = [];
        pool.keep(bytes, 0, bytes.length, pieces);
        kept.push({ pieces, bytes });
      } else if (kept.length > 0) pool.giveBack(kept.splice(one.which % kept.length, 1)[0]?.pieces ?? []);
      for (const { pieces, bytes } of kept) expect(Buffer.concat(pieces.map(({ slab, at, to }) => slab.bytes.subarray(at, to))).equals(bytes)).toBe(true);
    }
    expect(pool.free).toBeLessThanOrEqual(4);
  }), { numRuns: 50 });
});

test('small bodies share a slab, which is used again when the last of them went', () => {
  const pool = new SlabPool();
  const bodies = Array.from({ length: 17 }, () => {
    const pieces: Piece[] = [];
    pool.keep(Buffer.alloc(1024), 0, 1024, pieces);
    return pieces;
  });
  expect(new Set(bodies.flat().map(({ slab }) => slab)).size).toBe(2);
  for (const pieces of bodies.slice(0, 15)) pool.giveBack(pieces);
  expect(pool.free).toBe(0);
  pool.giveBack(bodies[15] ?? []);
  expect(pool.free).toBe(1);
});
