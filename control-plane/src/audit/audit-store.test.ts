import { mkdtempSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemTimers } from '@remora/core/clock';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createMemoryStore } from '../store/memory-store.ts';
import { openSqliteStore } from '../store/sqlite-store.ts';
import type { Store } from '../store/store.ts';
import { change, setClock } from '../store/testdata/store-samples.ts';
import type { SetClock } from '../store/testdata/store-samples.ts';
import { ChainVerifier } from './audit-chain.ts';
import type { BrokenChain } from './audit-chain.ts';
import type { AuditNote } from './audit-entry.ts';
import type { AuditStore } from './audit-store.ts';
import { revisionNote } from './revision-note.ts';

const note = (action: string): AuditNote => ({ action, actor: { kind: 'system' }, outcome: 'done', what: { n: 1 } });

function verify(audit: AuditStore): BrokenChain | null {
  const anchor = audit.anchor();
  const verifier = new ChainVerifier(anchor);
  for (const { text } of audit.texts({ after: anchor.seq, limit: 100_000 })) if (!verifier.add(text)) break;
  return verifier.end();
}

/** What the audit log of every store promises. */
function auditContract(name: string, make: (clock: SetClock, folder: string) => Store): void {
  describe(`audit log: ${name}`, () => {
    let folder: string;
    let clock: SetClock;
    let store: Store;
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'remora-audit-'));
      clock = setClock();
      store = make(clock, folder);
    });
    afterEach(async () => {
      await store.close();
      rmSync(folder, { recursive: true });
    });
    const actions = (): string[] => store.audit.texts({ after: 0, limit: 1_000 }).map(({ text }) => (JSON.parse(text) as AuditNote).action);

    test('entries come one behind the other, each with the hash of the one before', () => {
      expect(store.audit.head()).toMatchObject({ seq: 0 });
      expect(verify(store.audit)).toBeNull();
      expect(store.audit.append([note('a'), note('b')])).toMatchObject({ seq: 2 });
      clock.nowMs += 5;
      store.audit.append([note('c')]);
      expect(actions()).toEqual(['a', 'b', 'c']);
      expect(store.audit.append([])).toEqual(store.audit.head());
      expect([verify(store.audit), store.audit.count()]).toEqual([null, 3]);
    });

    test('pages from both ends', () => {
      for (let n = 1; n <= 7; n++) store.audit.append([note(`n${n}`)]);
      const seqs = (rows: readonly { readonly seq: number }[]): number[] => rows.map(({ seq }) => seq);
      expect(seqs(store.audit.texts({ after: 2, limit: 3 }))).toEqual([3, 4, 5]);
      expect(seqs(store.audit.newest({ limit: 3 }))).toEqual([7, 6, 5]);
      expect(seqs(store.audit.newest({ limit: 3, before: 3 }))).toEqual([2, 1]);
      expect(store.audit.trim({ beforeMs: clock.nowMs + 1, limit: 4 })).toBe(4);
      expect(seqs(store.audit.texts({ after: 0, limit: 2 }))).toEqual([5, 6]);
      expect(seqs(store.audit.newest({ limit: 9, before: 7 }))).toEqual([6, 5]);
    });

    test('a revision and its entry are there together', async () => {
      const input = { expectedHead: store.head(), author: 'ana', message: 'why', kind: 'documents' as const, changes: [change('Service/a', null, 1), change('Secret/s', null, 2)], grants: [] };
      await store.append({ ...input, audit: (entry) => revisionNote(entry, { actor: { kind: 'token', name: 'ci' }, from: '10.0.0.7' }) });
      const [row] = store.audit.newest({ limit: 1 });
      const entry = JSON.parse(row?.text ?? '') as AuditNote;
      expect(entry).toMatchObject({ action: 'documents.write', from: '10.0.0.7', what: { revision: 1, message: 'why', documentCount: 2 } });
      const documents = entry.what['documents'] as { document: string; sha256?: string }[];
      expect(documents.find(({ document }) => document === 'Service/a')?.sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(documents.find(({ document }) => document === 'Secret/s')?.sha256).toBeUndefined();
      // A write that is refused leaves nothing.
      expect(await store.append({ ...input, audit: () => note('never') })).toMatchObject({ kind: 'head-moved' });
      await expect(store.append({ ...input, expectedHead: store.head(), audit: () => { throw new Error('no'); } })).rejects.toThrow('no');
      expect([actions(), store.audit.head().seq, store.head().index, verify(store.audit)]).toEqual([['documents.write'], 1, 1, null]);
    });

    test('retention removes the oldest, says so in the chain, and the rest is whole', () => {
      for (let n = 1; n <= 5; n++) {
        store.audit.append([note(`n${n}`)]);
        clock.nowMs += 1_000;
      }
      expect(store.audit.trim({ beforeMs: clock.nowMs - 10_000, limit: 100 })).toBe(0);
      expect(store.audit.trim({ beforeMs: clock.nowMs - 2_500, limit: 100 })).toBe(3);
      expect(store.audit.anchor()).toMatchObject({ seq: 3, sealedBy: 6 });
      expect(actions()).toEqual(['n4', 'n5', 'audit.trim']);
      expect(store.audit.trim({ beforeMs: clock.nowMs + 1, limit: 2 })).toBe(2);
      expect([actions(), verify(store.audit)]).toEqual([['audit.trim', 'audit.trim'], null]);
    });
  });
}

auditContract('memory', (clock) => createMemoryStore({ clock }));
auditContract('sqlite', (clock, folder) => openSqliteStore({ path: join(folder, 'x.db'), clock, timers: systemTimers, alarm: (error) => { throw error; } }));

test('in memory it is bounded', () => {
  const store = createMemoryStore({ clock: setClock() });
  for (let n = 0; n < 30; n++) store.audit.append(Array.from({ length: 1_000 }, () => note('many')));
  expect(store.audit.count()).toBeLessThanOrEqual(20_000);
  expect(verify(store.audit)).toBeNull();
});

describe('a database that somebody changed', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'remora-audit-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const open = (): ReturnType<typeof openSqliteStore> => openSqliteStore({ path: join(folder, 'x.db'), clock: setClock(), timers: systemTimers, alarm: (error) => { throw error; } });
  async function tampered(change: (db: DatabaseSync) => void): Promise<BrokenChain | null> {
    const store = open();
    store.audit.append([1, 2, 3, 4, 5].map((n) => note(`n${n}`)));
    store.audit.trim({ beforeMs: Number.MAX_SAFE_INTEGER, limit: 1 });
    await store.close();
    const db = new DatabaseSync(join(folder, 'x.db'));
    change(db);
    db.close();
    const again = open();
    try {
      // What is written after it goes on, and what is broken stays broken.
      again.audit.append([note('after')]);
      return verify(again.audit);
    } finally {
      await again.close();
    }
  }

  test('goes on whole where nothing was changed', async () => {
    expect(await tampered(() => {})).toBeNull();
  });

  test.each<[string, string, number]>([
    ['an entry is changed', "UPDATE audit SET entry = replace(entry, 'n3', 'nX') WHERE seq = 3", 3],
    ['an entry is no JSON', "UPDATE audit SET entry = 'x' WHERE seq = 3", 3],
    ['the newest is no JSON', "UPDATE audit SET entry = 'x' WHERE seq = 6", 6],
    ['an entry is gone', 'DELETE FROM audit WHERE seq = 4', 4],
    ['the oldest is gone', 'DELETE FROM audit WHERE seq = 2', 2],
    ['the newest is gone', 'DELETE FROM audit WHERE seq = 6', 2],
    ['the anchor is gone', 'DELETE FROM audit_anchor', 1],
    ['the anchor is moved', "UPDATE audit_anchor SET seq = 2, hash = (SELECT json_extract(entry, '$.hash') FROM audit WHERE seq = 2)", 3],
    ['the anchor is moved, and what is before it is gone', "UPDATE audit_anchor SET seq = 2, hash = (SELECT json_extract(entry, '$.hash') FROM audit WHERE seq = 2); DELETE FROM audit WHERE seq <= 2", 3],
  ])('%s: found', async (_what, sql, seq) => {
    expect(await tampered((db) => db.exec(sql))).toMatchObject({ seq });
  });
});
