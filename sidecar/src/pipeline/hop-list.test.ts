import { buildRequestHead } from '@remora/http/head-builder';
import { headerId } from '@remora/http/header-ids';
import { expect, test } from 'vitest';
import { HopList, hopsMax, passesMax } from './hop-list.ts';

const hopHeader = headerId('x-remora-hop');

function request(...hops: readonly string[]) {
  return buildRequestHead({ method: 'GET', authority: 'a', target: '/', headers: hops.map((hop) => ['x-remora-hop', hop] as const) });
}

/** The list behind the place; null: refused. */
function after(list: HopList, ...hops: readonly string[]): string | null {
  const head = request(...hops);
  if (!list.pass(head)) return null;
  expect(head.count(hopHeader)).toBe(1);
  return head.valueAt(hopHeader, 0);
}

test('a place lets a request through a few times, then no more', () => {
  const [here, there] = [new HopList('edge', 'gateway'), new HopList('edge', 'inbound')];
  let list = after(here);
  for (let pass = 1; pass < passesMax; pass++) {
    list = after(there, list ?? '');
    list = after(here, list ?? '');
  }
  expect(list).toMatch(/^(?:[0-9a-f]{8},){4}[0-9a-f]{8}$/);
  expect(after(here, list ?? '')).toBeNull();
  expect(after(here, list ?? '')).toBeNull();
  expect(after(there, list ?? '')).not.toBeNull();
});

test('a circle of many places ends as well', () => {
  let list: string | null = null;
  let places = 0;
  do list = places === 0 ? after(new HopList('0', 'gateway')) : after(new HopList(String(places), 'gateway'), list ?? '');
  while (list !== null && ++places < 1000);
  expect(places).toBe(hopsMax);
});

test.each([['x'], ['0123456'], ['0123456789'], ['01234567,'], ['01234567, 01234567'], ['0123456G'], ['']])('what is not a list is replaced: %j', (value) => {
  expect(after(new HopList('edge', 'gateway'), value)).toMatch(/^[0-9a-f]{8}$/);
});

test('several fields are replaced by one, and what is remembered is bounded', () => {
  const here = new HopList('edge', 'gateway');
  const own = after(here);
  expect(after(here, '01234567', '89abcdef')).toBe(own);
  for (let i = 0; i < 2000; i++) {
    const mark = i.toString(16).padStart(8, '0');
    expect(after(here, mark)).toBe(`${mark},${own ?? ''}`);
  }
});
