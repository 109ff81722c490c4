import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemTimers } from '@remora/core/clock';
import type { Clock } from '@remora/core/clock';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createMemoryStore } from './memory-store.ts';
import { openSqliteStore } from './sqlite-store.ts';
import { append, change, setClock } from './testdata/store-samples.ts';
import type { SetClock } from './testdata/store-samples.ts';
import type { AppendInput, DocumentChange, Store } from './store.ts';

const dayMs = 86_400_000;
const keepAll = { minAgeMs: 30 * dayMs, minEntries: 1_000 };
const hashOf = (digit: string): string => digit.repeat(64);

/** What every store promises. */
function storeContract(name: string, make: (clock: Clock, folder: string) => Store): void {
  describe(`store contract: ${name}`, () => {
    let folder: string;
    let clock: SetClock;
    let store: Store;
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'remora-store-'));
      clock = setClock();
      store = make(clock, folder);
    });
    afterEach(async () => {
      await store.close();
      rmSync(folder, { recursive: true });
    });
    const put = (changes: readonly DocumentChange[], more?: Partial<AppendInput>): Promise<number> => append(store, changes, more);
    const values = (at?: number): Record<string, unknown> =>
      Object.fromEntries([...store.documents(at === undefined ? undefined : { epoch: store.head().epoch, index: at })].map(([key, { document }]) => [key, document['v']]));

    test('an empty store is at index 0 of an epoch that is a unix time', () => {
      expect(store.head()).toEqual({ epoch: 1_800_000_000, index: 0 });
      expect([...store.documents()]).toEqual([]);
      expect(store.entries({ limit: 10 })).toEqual([]);
      expect(store.entry(1)).toBeNull();
    });

    test('an append is one entry with everything in it', async () => {
      await put([change('Service/a', null, 1), change('Policy/b', null, 2, 'team')], { message: 'first' });
      const entry = store.entry(1);
      expect(entry).toEqual({
        version: { epoch: 1_800_000_000, index: 1 }, at: new Date(clock.nowMs).toISOString(), author: 'ana', message: 'first', kind: 'documents', grants: [],
        changes: expect.arrayContaining([change('Service/a', null, 1), change('Policy/b', null, 2, 'team')]),
      });
      expect(store.documents().get('Policy/b')).toEqual({ key: 'Policy/b', document: { v: 2 }, writtenAt: 1, owner: 'team' });
    });

    test('a moved head refuses and changes nothing', async () => {
      const head = store.head();
      await put([change('Service/a', null, 1)]);
      const result = await store.append({ expectedHead: head, author: 'ben', message: '', kind: 'documents', changes: [change('Service/b', null, 1)], grants: [] });
      expect(result).toEqual({ kind: 'head-moved', head: { epoch: head.epoch, index: 1 } });
      expect(values()).toEqual({ 'Service/a': 1 });
    });

    test('documents are readable as of every entry', async () => {
      await put([change('Service/a', null, 1), change('Service/b', null, 1)]);
      await put([change('Service/a', 1, 2)]);
      await put([change('Service/b', 1, null)]);
      await put([], { kind: 'grant', grants: [{ guard: 'routes', subjects: ['gateway/edge'] }] });
      await put([change('Service/b', null, 9)]);
      expect([0, 1, 2, 3, 4, 5].map((at) => values(at))).toEqual([
        {}, { 'Service/a': 1, 'Service/b': 1 }, { 'Service/a': 2, 'Service/b': 1 }, { 'Service/a': 2 }, { 'Service/a': 2 }, { 'Service/a': 2, 'Service/b': 9 },
      ]);
      expect(store.entry(3)?.changes).toEqual([{ ...change('Service/b', 1, null), ownerBefore: '' }]);
      expect(store.entry(5)?.changes).toEqual([change('Service/b', null, 9)]);
      expect(store.entry(4)?.grants).toEqual([{ guard: 'routes', subjects: ['gateway/edge'] }]);
      expect(store.lastChange('Service/b', 4)?.version.index).toBe(3);
      expect(store.lastChange('Service/a')?.version.index).toBe(2);
      expect(store.lastChange('Service/none')).toBeNull();
    });

    test('a map of documents that somebody holds does not change under them', async () => {
      await put([change('Service/a', null, 1)]);
      const held = store.documents();
      await put([change('Service/a', 1, 2)]);
      expect(held.get('Service/a')?.document).toEqual({ v: 1 });
    });

    test('places that this log never had are refused by name', async () => {
      await put([change('Service/a', null, 1)]);
      await put([change('Service/a', 1, 2)]);
      expect(() => store.documents({ epoch: store.head().epoch, index: 9 })).toThrow(expect.objectContaining({ code: 'version-unknown' }));
      expect(() => store.documents({ epoch: 7, index: 1 })).toThrow(expect.objectContaining({ code: 'version-unknown' }));
    });

    test('pages are newest first, between exclusive ends', async () => {
      for (let n = 1; n <= 5; n++) {
        clock.nowMs += 1_000;
        await put([change('Service/a', n === 1 ? null : n - 1, n)]);
      }
      const indexes = (page: Parameters<Store['entries']>[0]): number[] => store.entries(page).map((entry) => entry.version.index);
      expect(indexes({ limit: 2 })).toEqual([5, 4]);
      expect(indexes({ limit: 2, before: 4 })).toEqual([3, 2]);
      expect(indexes({ limit: 9, since: 3 })).toEqual([5, 4]);
      expect(indexes({ limit: 9, sinceMs: clock.nowMs - 1_000 })).toEqual([5, 4]);
      await put([change('Service/b', null, 1)]);
      expect(indexes({ limit: 9, key: 'Service/b' })).toEqual([6]);
      expect(indexes({ limit: 1, key: 'Service/a' })).toEqual([5]);
    });

    test('an idempotency key answers the entry it made, for a day', async () => {
      const input: AppendInput = { expectedHead: store.head(), author: 'ana', message: '', kind: 'documents', changes: [change('Service/a', null, 1)], grants: [], idempotencyKey: 'k', idempotencyFingerprint: 'f' };
      expect((await store.append(input)).kind).toBe('appended');
      expect(await store.append(input)).toMatchObject({ kind: 'repeated', entry: { version: { index: 1 } } });
      expect(await store.append({ ...input, idempotencyFingerprint: 'other' })).toMatchObject({ kind: 'key-reused', entry: { version: { index: 1 } } });
      expect(store.repeated('k')).toMatchObject({ fingerprint: 'f', entry: { version: { index: 1 } } });
      clock.nowMs += dayMs + 1;
      expect(store.repeated('k')).toBeNull();
      await put([change('Service/a', 1, 2)], { idempotencyKey: 'k' });
      expect(store.head().index).toBe(2);
    });

    test('compaction keeps what either rule keeps, and what the oldest entry shows', async () => {
      await put([change('Service/a', null, 1), change('Service/gone', null, 1)]);
      await put([change('Service/gone', 1, null)]);
      await put([change('Service/a', 1, 2)]);
      await put([change('Service/a', 2, 3)]);
      expect(await store.compact({ ...keepAll, nowMs: clock.nowMs })).toBe(0);
      clock.nowMs += 31 * dayMs;
      expect(await store.compact({ ...keepAll, nowMs: clock.nowMs })).toBe(0);
      expect(await store.compact({ minAgeMs: 60 * dayMs, minEntries: 1, nowMs: clock.nowMs })).toBe(0);
      expect(await store.compact({ minAgeMs: 30 * dayMs, minEntries: 2, nowMs: clock.nowMs })).toBe(2);
      expect(store.retainedFrom()).toBe(3);
      expect(store.entry(2)).toBeNull();
      expect(store.entry(3)?.changes).toEqual([change('Service/a', 1, 2)]);
      expect(() => store.documents({ epoch: store.head().epoch, index: 2 })).toThrow(expect.objectContaining({ code: 'history-gone' }));
      expect(() => store.documents({ epoch: store.head().epoch, index: 0 })).toThrow(expect.objectContaining({ code: 'history-gone' }));
      expect(values(3)).toEqual({ 'Service/a': 2 });
      expect(values()).toEqual({ 'Service/a': 3 });
      await put([change('Service/a', 3, 4)]);
      expect(store.head().index).toBe(5);
    });

    test('a large entry is one entry, and appends that were called behind it come behind it', async () => {
      const hashes = Array.from({ length: 3_000 }, (_, n) => n.toString(16).padStart(64, '0'));
      const changes = hashes.map((_, n) => change(`Service/s${n}`, null, n));
      const compiled = { manifests: new Map([['service/s0', hashes[0] ?? '']]), blobs: new Map(hashes.map((hash) => [hash, Buffer.from(hash)])), references: new Map([[hashes[0] ?? '', hashes]]) };
      const head = store.head();
      const [large, behind] = await Promise.all([put(changes, { compiled }), store.append({ expectedHead: head, author: 'ben', message: '', kind: 'documents', changes: [change('Service/s1', null, 9)], grants: [] })]);
      expect(large).toBe(1);
      expect(behind).toEqual({ kind: 'head-moved', head: { epoch: head.epoch, index: 1 } });
      expect(Object.keys(values())).toHaveLength(3_000);
      expect(store.entry(1)?.changes).toHaveLength(3_000);
      expect(hashes.every((hash) => store.blob(hash) !== null)).toBe(true);
      await put([change('Service/s1', 1, 2)]);
      expect(values(1)['Service/s1']).toBe(1);
      expect(values()['Service/s1']).toBe(2);
    });

    test('pages of entries can have fewer changes of each, and say how many there are', async () => {
      await put(['c', 'a', 'b'].map((name) => change(`Service/${name}`, null, 1)));
      expect(store.entries({ limit: 1, changesMax: 2 })).toMatchObject([{ changeCount: 3, changes: [{ key: 'Service/a' }, { key: 'Service/b' }] }]);
      expect(store.entries({ limit: 1, changesMax: 0 })).toMatchObject([{ changeCount: 3, changes: [] }]);
      expect(store.entries({ limit: 1, changesMax: 3 })[0]).not.toHaveProperty('changeCount');
    });

    test('what is appended while history is dropped keeps its bytes, also those that nothing reached before', async () => {
      const [old, kept] = ['1', '2'].map(hashOf) as [string, string];
      const compiled = (hash: string) => ({ manifests: new Map([['service/a', hash]]), blobs: new Map([[hash, Buffer.from(hash)]]), references: new Map([[hash, [hash]]]) });
      await put([change('Service/a', null, 0)], { compiled: compiled(old) });
      for (let n = 1; n < 200; n++) await put([change('Service/a', n - 1, n)], { compiled: compiled(kept) });
      clock.nowMs += 31 * dayMs;
      const compacting = store.compact({ minAgeMs: 0, minEntries: 1, nowMs: clock.nowMs });
      await put([change('Service/a', 199, 200)], { compiled: compiled(old) });
      expect(await compacting).toBeGreaterThan(150);
      expect(store.manifestAt(store.head().index, 'service/a')).toBe(old);
      expect(store.blob(old)).not.toBeNull();
      expect(values()['Service/a']).toBe(200);
    });

    test('a large entry that is half written when history is dropped keeps its bytes', async () => {
      for (let n = 0; n < 20; n++) await put([change('Service/a', n === 0 ? null : n - 1, n)]);
      clock.nowMs += 31 * dayMs;
      const hashes = Array.from({ length: 4000 }, (_, n) => n.toString(16).padStart(8, '0').padEnd(64, '0'));
      const [manifest] = hashes as [string];
      const compiled = { manifests: new Map([['service/a', manifest]]), blobs: new Map(hashes.map((hash) => [hash, Buffer.from(hash)])), references: new Map([[manifest, hashes]]) };
      const appending = put([change('Service/a', 19, 20)], { compiled });
      // Half of it is there after some turns.
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => { setImmediate(resolve); });
      const dropped = await store.compact({ minAgeMs: 0, minEntries: 1, nowMs: clock.nowMs });
      expect(await appending).toBe(21);
      expect(dropped).toBeGreaterThan(0);
      expect(hashes.filter((hash) => store.blob(hash) === null)).toEqual([]);
    });

    test('the newest entry survives every compaction', async () => {
      await put([change('Service/a', null, 1)]);
      clock.nowMs += 400 * dayMs;
      await store.compact({ minAgeMs: 0, minEntries: 0, nowMs: clock.nowMs });
      expect(store.entry(1)?.changes).toEqual([change('Service/a', null, 1)]);
    });

    test('manifests are known as of each entry, and bytes go with the last manifest that reaches them', async () => {
      const [m1, m2, page, shared] = ['1', '2', '3', '4'].map(hashOf) as [string, string, string, string];
      await put([change('Service/a', null, 1)], {
        compiled: { manifests: new Map([['service/a', m1]]), blobs: new Map([m1, page, shared].map((hash) => [hash, Buffer.from(hash)])), references: new Map([[m1, [page, shared]]]) },
      });
      await put([change('Service/b', null, 1)]);
      await put([change('Service/a', 1, 2)], { compiled: { manifests: new Map([['service/a', m2]]), blobs: new Map([[m2, Buffer.from('m2')]]), references: new Map([[m2, [shared]]]) } });
      await put([change('Service/a', 2, null)], { compiled: { manifests: new Map([['service/a', '']]), blobs: new Map(), references: new Map() } });
      expect([0, 1, 2, 3, 4].map((at) => store.manifestAt(at, 'service/a'))).toEqual([null, m1, m1, m2, null]);
      expect(store.manifestAt(4, 'service/none')).toBeNull();
      expect(store.manifestHistory('service/a', 2)).toEqual([{ index: 4, hash: '' }, { index: 3, hash: m2 }]);
      expect([m1, m2, page].map((hash) => store.references(hash))).toEqual([[page, shared], [shared], null]);
      clock.nowMs += 31 * dayMs;
      await store.compact({ minAgeMs: dayMs, minEntries: 2, nowMs: clock.nowMs });
      expect(store.manifestAt(3, 'service/a')).toBe(m2);
      expect([m1, m2, page, shared].map((hash) => store.blob(hash) !== null)).toEqual([false, true, false, true]);
      expect(store.references(m1)).toBeNull();
      await store.compact({ minAgeMs: dayMs, minEntries: 1, nowMs: clock.nowMs });
      expect([m2, shared].map((hash) => store.blob(hash) !== null)).toEqual([false, false]);
    });

    test('records are read back at once, by namespace', () => {
      store.putRecords('sidecars', new Map([['a', { at: 1 }], ['__proto__', { at: 2 }]]));
      store.putRecords('sidecars', new Map([['a', null], ['b', { at: 3 }]]));
      expect(Object.fromEntries(store.records('sidecars'))).toEqual(Object.fromEntries([['__proto__', { at: 2 }], ['b', { at: 3 }]]));
      expect(store.records('other').size).toBe(0);
    });

    test('flushing records that wait, or none, changes nothing that is read', () => {
      store.putRecords('tokens', new Map([['a', { uses: 1 }]]));
      store.flushRecords();
      store.flushRecords();
      expect([...store.records('tokens')]).toEqual([['a', { uses: 1 }]]);
    });

    test('fences grow', () => {
      const fences = Array.from({ length: 2_500 }, () => store.nextFence());
      expect(fences.every((fence, at) => at === 0 || fence > (fences[at - 1] ?? 0))).toBe(true);
    });

    test('names that mean something to JavaScript are ordinary', async () => {
      await put(['__proto__', 'constructor', 'toString'].map((name) => change(`Service/${name}`, null, 1)));
      expect([...store.documents().keys()].sort()).toEqual(['Service/__proto__', 'Service/constructor', 'Service/toString']);
    });

    test('a backup never overwrites', async () => {
      await put([change('Service/a', null, 1)]);
      const path = join(folder, 'copy.db');
      await store.backup(path);
      await expect(store.backup(path)).rejects.toMatchObject({ code: 'store-exists' });
    });

    test('a closed store says so', async () => {
      await store.close();
      await expect(put([change('Service/a', null, 1)])).rejects.toMatchObject({ code: 'store-closed' });
    });
  });
}

storeContract('memory', (clock) => createMemoryStore({ clock }));
/** Every slice of a long computation is over at once, so that others come between all of its steps. */
function hurried(clock: Clock): Clock {
  let monotonicMs = 0;
  return { wallMs: () => clock.wallMs(), monotonicMs: () => (monotonicMs += 100) };
}

storeContract('sqlite, in the smallest slices', (clock, folder) => openSqliteStore({ path: join(folder, 'control-plane.db'), clock: hurried(clock), timers: systemTimers, alarm: (error) => { throw error; } }));
storeContract('sqlite', (clock, folder) => openSqliteStore({ path: join(folder, 'control-plane.db'), clock, timers: systemTimers, alarm: (error) => { throw error; } }));
