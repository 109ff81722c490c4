import { describe, expect, test } from 'vitest';
import { Http1Pool } from './http1-pool.ts';
import { defaultPoolLimits } from './pool-limits.ts';
import type { UpstreamPool } from './upstream-pool.ts';

function newPool(): UpstreamPool {
  return new Http1Pool({ host: '127.0.0.1', port: 1, protocol: 'http1' }, defaultPoolLimits, () => { throw new Error('not connected here'); });
}

describe('an address that cannot be connected', () => {
  test('is avoided for 0.5 s, doubling up to 8 s', () => {
    const pool = newPool();
    const waits = [];
    let now = 0;
    for (let failure = 0; failure < 7; failure++) {
      pool.chosen(now);
      pool.connectFailed(now);
      waits.push(pool.downUntil - now);
      now = pool.downUntil;
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
  });

  // Four calls at once met a killed instance, and again each time it was due: each needed a retry, and the budget gave three.
  test('is tried by one call at a time when it is due, and failures of one moment count as one', () => {
    const pool = newPool();
    for (let call = 0; call < 4; call++) pool.chosen(0);
    for (let call = 0; call < 4; call++) pool.connectFailed(1);
    expect(pool.downUntil).toBe(501);
    pool.chosen(501);
    expect(pool.downUntil).toBeGreaterThan(501);
    pool.connectFailed(502);
    expect(pool.downUntil).toBe(1_502);
  });

  test('is used by all as soon as one connects', () => {
    const pool = newPool();
    pool.connectFailed(0);
    pool.chosen(500);
    pool.connected();
    expect(pool.downUntil).toBe(0);
  });

  test('is tried again where the call that tried it gave up', () => {
    const pool = newPool();
    pool.connectFailed(0);
    pool.chosen(500);
    expect(pool.downUntil).toBe(1_500);
    pool.chosen(1_500);
    expect(pool.downUntil).toBe(2_500);
  });
});
