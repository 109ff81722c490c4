import { expect, test } from 'vitest';
import { ownBytes } from './own-bytes.ts';

test('bytes of a pool are copied, those that are all of their memory are not', () => {
  const pooled = Buffer.from('what a data thread asks');
  expect(pooled.buffer.byteLength).toBeGreaterThan(pooled.byteLength);
  const own = ownBytes(pooled);
  expect([own.buffer.byteLength, Buffer.from(own).toString()]).toEqual([pooled.byteLength, pooled.toString()]);
  expect(ownBytes(own)).toBe(own);
});
