import { ManualTimers } from '@remora/testing/manual-timers';
import { expect, test } from 'vitest';
import { createMemoryStore } from '../store/memory-store.ts';
import { WorkLease } from './work-lease.ts';

function world(): { readonly timers: ManualTimers; readonly log: string[]; readonly lease: (who: string) => WorkLease } {
  const timers = new ManualTimers();
  const store = createMemoryStore({ clock: timers.clock });
  const log: string[] = [];
  return {
    timers, log,
    lease(who) {
      const made = new WorkLease({ store, timers, lost: () => void log.push(`${who} lost it`) });
      for (const name of ['one', 'two']) made.add({ name, start: () => void log.push(`${who} starts ${name}`), stop: () => void log.push(`${who} stops ${name}`) });
      return made;
    },
  };
}

test('work starts in its order with the lease, and stops in reverse', () => {
  const { lease, log } = world();
  const only = lease('a');
  expect([only.held, log]).toEqual([false, []]);
  only.take();
  only.add({ name: 'late', start: () => void log.push('a starts late'), stop: () => void log.push('a stops late') });
  expect(only.held).toBe(true);
  only.close();
  only.close();
  expect(log).toEqual(['a starts one', 'a starts two', 'a starts late', 'a stops late', 'a stops two', 'a stops one']);
});

test('whoever comes later has it; the one before stops within a second, once, and does not come back', async () => {
  const { lease, log, timers } = world();
  const first = lease('a');
  first.take();
  const second = lease('b');
  await timers.advance(1_000);
  expect(first.held).toBe(true);
  second.take();
  await timers.advance(3_000);
  first.take();
  expect([first.held, second.held]).toEqual([false, true]);
  expect(log).toEqual(['a starts one', 'a starts two', 'b starts one', 'b starts two', 'a stops two', 'a stops one', 'a lost it']);
  first.close();
  second.close();
});

test('one that was made before another took it does not take it back', () => {
  const { lease, log } = world();
  const [early, late] = [lease('early'), lease('late')];
  late.take();
  early.take();
  expect([early.held, late.held]).toEqual([false, true]);
  expect(log).toEqual(['late starts one', 'late starts two']);
  early.close();
  late.close();
});
