import { ManualTimers } from '@remora/testing/manual-timers';
import { expect, test } from 'vitest';
import { createMemoryStore } from '../store/memory-store.ts';
import { createRefusingSealer, createRotatingSealer } from './rotating-sealer.ts';
import { createSealer } from './sealer.ts';
import { startIdentity } from './testdata/identity-fixture.ts';

const key = (first: number): Buffer => Buffer.from([first, ...Array.from({ length: 31 }, (_, i) => i)]);
const [one, two, three] = [createSealer(key(1)), createSealer(key(2)), createSealer(key(3))];

test('opens what an earlier key sealed, seals with the one of today, and is not fooled by what was changed', () => {
  const sealer = createRotatingSealer(two, [three, one]);
  const old = one.seal('p', Buffer.from('secret'));
  expect(sealer.open('p', old).toString()).toBe('secret');
  expect([sealer.isCurrent(old), sealer.isCurrent(sealer.seal('p', Buffer.from('x')))]).toEqual([false, true]);
  expect(() => sealer.open('q', old)).toThrow('changed or is damaged');
  expect(() => createRotatingSealer(two, [three]).open('p', old)).toThrow('another encryption key');
  expect(() => createRefusingSealer('no key is given').seal('p', Buffer.from('x'))).toThrow('no key is given');
});

test('an authority goes over to a new encryption key at the start with both, and needs the one before no more', () => {
  const time = new ManualTimers();
  const store = createMemoryStore({ clock: time.clock });
  const start = (sealer: typeof one): string => {
    const { identity } = startIdentity({ store, time, sealer });
    const { fingerprint256 } = identity.keeper.authority.issuer;
    identity.close();
    return fingerprint256;
  };
  const fingerprint = start(one);
  expect(() => start(two)).toThrow('another encryption key');
  expect(start(createRotatingSealer(two, [one]))).toBe(fingerprint);
  expect(start(two)).toBe(fingerprint);
  expect(() => start(one)).toThrow('another encryption key');
});
