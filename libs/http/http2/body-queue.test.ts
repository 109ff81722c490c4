import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { BodyQueue } from './body-queue.ts';

test('what goes in comes out, in order, however it is cut on both sides', () => {
  fc.assert(fc.property(fc.array(fc.oneof(fc.nat(40), fc.nat(40_000)), { maxLength: 40 }), fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 40 }), (sizes, takes) => {
    const queue = new BodyQueue();
    let written = 0;
    let read = 0;
    const take = (most: number): void => {
      const { bytes, at, end } = queue.front();
      const count = Math.min(most, end - at);
      for (let i = at; i < at + count; i += 13) if (bytes[i] !== ((read + i - at) & 255)) throw new Error(`byte ${read + i - at}`);
      queue.take(count);
      read += count;
    };
    sizes.forEach((size, n) => {
      const piece = Uint8Array.from({ length: size }, (_, i) => written + i);
      queue.push(piece, 0, size);
      piece.fill(0);
      written += size;
      if (n % 2 === 0 && queue.length > 0) take(takes[n % takes.length] as number);
      expect(queue.length).toBe(written - read);
    });
    for (let n = 0; queue.length > 0; n++) take(takes[n % takes.length] as number);
    expect(read).toBe(written);
  }));
});
