import { ManualClock } from '@remora/testing/manual-clock';
import { beforeEach, describe, expect, test } from 'vitest';
import type { ExchangeRun } from './exchange-run.ts';
import { joinLooks, RequestTaps, tapsMax, type CountTaps, type TapAnswer, type TapFilter } from './request-taps.ts';

let clock: ManualClock;
let taps: RequestTaps;
let counted: { taps_open: number; taps_skipped: number };
const count: CountTaps = (name, by) => void (counted[name] += by);
beforeEach(() => {
  clock = new ManualClock(Date.UTC(2026, 10, 22, 12));
  counted = { taps_open: 0, taps_skipped: 0 };
  taps = new RequestTaps(clock, count);
});

interface Ended {
  readonly side?: string;
  readonly method?: string;
  /** As it came; `path` where it was rewritten later. */
  readonly askedPath?: string;
  readonly path?: string;
  readonly status?: number;
}

/** What a tap reads of an exchange that has ended. */
function ended({ side = 'inbound', method = 'GET', askedPath, path = '/v1/orders', status = 200 }: Ended): ExchangeRun {
  return {
    pin: { side, route: 'all' }, head: { method, authority: 'orders', path }, askedPath: askedPath ?? null, askedAuthority: null, status, grpcStatus: -1, destination: '', upstream: '', refusal: null, attempts: 1,
    startedAt: 10, endedAt: 12.3456, requestId: 'r-1', connection: { principal: '' }, clientAddress: '10.0.0.7',
  } as unknown as ExchangeRun;
}

function look(id: string, filter: TapFilter = {}): TapAnswer | null {
  return taps.look({ id, filter });
}

describe('a look', () => {
  test('shows what has ended since the last one, and nothing of before the first', () => {
    taps.see(ended({}));
    expect(look('a')).toEqual({ requests: [], skipped: 0 });
    taps.see(ended({ status: 503 }));
    expect(look('a')).toEqual({ skipped: 0, requests: [{
      atMs: clock.wallMs(), side: 'inbound', method: 'GET', authority: 'orders', path: '/v1/orders', route: 'all', destination: '', upstream: '', status: 503, grpcStatus: -1, reason: '', attempts: 1,
      durationMs: 2.35, requestId: 'r-1', caller: '10.0.0.7',
    }] });
    expect(look('a')).toEqual({ requests: [], skipped: 0 });
  });

  test('names the caller by its certificate, the path as it was asked for, and why it was refused; long texts are cut', () => {
    look('a');
    taps.see(Object.assign(ended({ askedPath: `/${'x'.repeat(1_000)}` }), { connection: { principal: 'spiffe://test/service/web' }, refusal: { reason: { code: 'rate-limited' } } }));
    expect(look('a')?.requests).toEqual([expect.objectContaining({ path: `/${'x'.repeat(255)}`, caller: 'spiffe://test/service/web', reason: 'rate-limited' })]);
  });

  test.each<readonly [TapFilter, Ended, boolean]>([
    [{}, {}, true],
    [{ side: 'inbound' }, { side: 'outbound' }, false],
    [{ side: 'outbound' }, { side: 'outbound' }, true],
    [{ method: 'POST' }, { method: 'GET' }, false],
    [{ path: '/v1' }, { path: '/v1' }, true],
    [{ path: '/v1' }, { path: '/v1/orders' }, true],
    [{ path: '/v1/' }, { path: '/v1/orders' }, true],
    [{ path: '/v1' }, { path: '/v10' }, false],
    // Rewritten on its way: both paths are known to who asks.
    [{ path: '/api' }, { askedPath: '/api/orders', path: '/orders' }, true],
    [{ path: '/orders' }, { askedPath: '/api/orders', path: '/orders' }, true],
    [{ status: '503' }, { status: 503 }, true],
    [{ status: '503' }, { status: 502 }, false],
    [{ status: '5xx' }, { status: 599 }, true],
    [{ status: '5xx' }, { status: 499 }, false],
    [{ side: 'inbound', method: 'GET', path: '/v1', status: '4xx' }, { status: 404 }, true],
  ])('for %o of %o: %s', (filter, request, seen) => {
    look('a', filter);
    taps.see(ended(request));
    expect(look('a')?.requests).toHaveLength(seen ? 1 : 0);
  });
});

describe('bounds', () => {
  test('of what waits for a look: the rest is counted, for each tap by itself', () => {
    look('all');
    look('posts', { method: 'POST' });
    for (let i = 0; i < 130; i++) taps.see(ended({}));
    taps.see(ended({ method: 'POST' }));
    expect([look('all')?.requests.length, look('posts')?.requests.length]).toEqual([100, 1]);
    for (let i = 0; i < 130; i++) taps.see(ended({}));
    expect([look('all')?.skipped, look('posts')?.skipped]).toEqual([30, 0]);
    expect(counted).toEqual({ taps_open: 2, taps_skipped: 61 });
  });

  test('of how many look: one more is told so, and has a place when another one is forgotten', () => {
    for (let i = 0; i < tapsMax; i++) expect(look(`${i}`)).not.toBeNull();
    expect(look('more')).toBeNull();
    clock.advance(4_000);
    look('0');
    clock.advance(2_000);
    expect(look('more')).toEqual({ requests: [], skipped: 0 });
    // Who was forgotten begins anew; who looked lately did not lose anything.
    taps.see(ended({}));
    expect([look('0')?.requests.length, look('1')?.requests.length]).toEqual([1, 0]);
  });

  test('nobody looks any more: nothing is kept', () => {
    look('a');
    expect(taps.empty).toBe(false);
    expect(counted.taps_open).toBe(1);
    clock.advance(5_001);
    taps.sweep();
    expect(taps.empty).toBe(true);
    expect(counted.taps_open).toBe(0);
  });
});

test('what several threads saw is one answer, in the order of time; where one has no place, that is said', () => {
  const [first, second] = [new RequestTaps(clock, count), new RequestTaps(clock, count)];
  for (const thread of [first, second]) thread.look({ id: 'a', filter: {} });
  second.see(ended({ status: 201 }));
  clock.advance(5);
  first.see(ended({ status: 202 }));
  const looks = [first, second].map((thread) => thread.look({ id: 'a', filter: {} }));
  expect(joinLooks(looks).requests.map(({ status }) => status)).toEqual([201, 202]);
  expect(() => joinLooks([...looks, null])).toThrow(`${tapsMax} people look at the requests of this sidecar already`);
});
