import { ManualTimers } from '@remora/testing/manual-timers';
import { expect, test } from 'vitest';
import { createMemoryStore } from '../store/memory-store.ts';
import { setClock } from '../store/testdata/store-samples.ts';
import type { AuditNote } from './audit-entry.ts';
import { createAuditLog } from './audit-log.ts';
import type { AuditLog } from './audit-log.ts';
import type { AuditStore } from './audit-store.ts';

const note = (action: string): AuditNote => ({ action, actor: { kind: 'system' }, outcome: 'done', what: {} });

function world(): { readonly log: AuditLog; readonly store: AuditStore; readonly state: { full: boolean }; readonly flushes: number[]; readonly alarms: unknown[] } {
  const { audit } = createMemoryStore({ clock: setClock() });
  const state = { full: false };
  const flushes: number[] = [];
  const alarms: unknown[] = [];
  const store: AuditStore = new Proxy(audit, {
    get(target, name) {
      if (name === 'append') {
        return (notes: readonly AuditNote[]) => {
          if (state.full) throw new Error('disk full');
          flushes.push(notes.length);
          return target.append(notes);
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
  return { log: createAuditLog({ store, timers: new ManualTimers(), soon: setImmediate, alarm: (error) => alarms.push(error) }), store, state, flushes, alarms };
}

test('notes of one turn share one flush, and each answer waits for it', async () => {
  const { log, store, flushes } = world();
  await Promise.all([log.append(note('a')), log.append(note('b')), log.append(note('c'))]);
  expect(flushes).toEqual([3]);
  expect(store.head().seq).toBe(3);
});

test('a disk that refuses fails the answer, and the note is written when it takes again', async () => {
  const { log, store, state } = world();
  state.full = true;
  await expect(log.append(note('a'))).rejects.toThrow('disk full');
  expect([log.failures(), log.waiting(), store.head().seq]).toEqual([1, 1, 0]);
  state.full = false;
  await log.append(note('b'));
  expect(store.texts({ after: 0, limit: 9 }).map(({ text }) => (JSON.parse(text) as AuditNote).action)).toEqual(['a', 'b']);
});

test('what nobody waits for is bounded, and what was left out is counted in the log itself', () => {
  const { log, store } = world();
  for (let n = 0; n < 1_500; n++) log.later(note('x'));
  expect([log.waiting(), log.dropped()]).toEqual([1_000, 500]);
  log.close();
  const [last] = store.newest({ limit: 1 });
  expect(JSON.parse(last?.text ?? '')).toMatchObject({ action: 'audit.dropped', what: { notes: 500 } });
  expect(store.head().seq).toBe(1_001);
});
