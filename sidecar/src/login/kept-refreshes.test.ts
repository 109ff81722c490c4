import type { LoginAnswer } from '@remora/policy-kit/tokens/login-question';
import { ManualClock } from '@remora/testing/manual-clock';
import { expect, test } from 'vitest';
import { bytesMax, KeptRefreshes, refreshesMax } from './kept-refreshes.ts';

const tokens = (length: number): LoginAnswer => ({ outcome: 'tokens', idToken: 'x'.repeat(length), refreshToken: '', scope: '', expiresInSeconds: 1 });

test('as many are kept as are stated, in number and bytes; the oldest go first', async () => {
  const kept = new KeptRefreshes(new ManualClock());
  for (let i = 0; i < refreshesMax + 10; i++) kept.put(`small-${i}`, Promise.resolve(tokens(1)));
  await Promise.resolve();
  expect(kept.get('small-0')).toBeUndefined();
  expect([kept.size, kept.bytes]).toEqual([refreshesMax, refreshesMax]);

  const large = new KeptRefreshes(new ManualClock());
  for (let i = 0; i < 5; i++) large.put(`large-${i}`, Promise.resolve(tokens(bytesMax / 4)));
  await Promise.resolve();
  await Promise.resolve();
  expect([large.get('large-0'), large.size, large.bytes]).toEqual([undefined, 4, bytesMax]);
});

test('bytes of what is forgotten before its answer came are not counted', async () => {
  const clock = new ManualClock();
  const kept = new KeptRefreshes(clock);
  const { promise, resolve } = Promise.withResolvers<LoginAnswer>();
  kept.put('a', promise);
  clock.advance(30_000);
  expect(kept.get('a')).toBeUndefined();
  resolve(tokens(100));
  await promise;
  expect([kept.size, kept.bytes]).toEqual([0, 0]);
});
