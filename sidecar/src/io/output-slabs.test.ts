import { expect, it } from 'vitest';
import { OutputSlabs } from './output-slabs.ts';

it('fills a slab again only when everything in it was taken', () => {
  const slabs = new OutputSlabs();
  const first = slabs.take(100);
  first.open += 2;
  first.top = 200;
  slabs.written(first, true);
  expect(slabs.take(100)).toBe(first);
  expect(first.top).toBe(200);
  slabs.written(first, true);
  expect(slabs.take(100).top).toBe(0);
  expect(slabs.take(100)).toBe(first);
});

it('never fills a slab again that a socket still holds', () => {
  const slabs = new OutputSlabs();
  const first = slabs.take(100);
  first.open += 2;
  first.top = 200;
  slabs.written(first, false);
  slabs.written(first, true);
  expect(slabs.take(100)).not.toBe(first);
});

it('gives large pieces a slab of their own, and uses it again', () => {
  const slabs = new OutputSlabs();
  const large = slabs.take(66_000);
  expect(large).not.toBe(slabs.take(10));
  large.open++;
  large.top = 66_000;
  slabs.written(large, true);
  expect(slabs.take(66_000)).toBe(large);
  expect(slabs.take(1_000_000).bytes.length).toBeGreaterThanOrEqual(1_000_000);
});

it('moves on where a slab is full', () => {
  const slabs = new OutputSlabs();
  const first = slabs.take(100);
  first.open++;
  first.top = first.bytes.length - 10;
  expect(slabs.take(100)).not.toBe(first);
});
