import { expect, test } from 'vitest';
import { MemoryGrants } from './memory-grants.ts';

test('the rows of a thread that died are zeroed, and nothing else', () => {
  const grants = new MemoryGrants();
  const [granted] = grants.grant([{ id: 'counts', bytes: 8 + 2 * 16, rows: { at: 8, bytes: 16 } }]);
  const [table] = grants.grant([{ id: 'table', bytes: 16 }]);
  const all = new Uint8Array(granted?.buffer as SharedArrayBuffer).fill(1);
  const other = new Uint8Array(table?.buffer as SharedArrayBuffer).fill(1);
  grants.clearRows(1);
  expect([...all]).toEqual([...Array.from({ length: 24 }, () => 1), ...Array.from({ length: 16 }, () => 0)]);
  expect([...other]).toEqual(Array.from({ length: 16 }, () => 1));
  grants.clearRows(2);
  grants.keepOnly(new Set());
  grants.clearRows(0);
  expect(all[8]).toBe(1);
});
