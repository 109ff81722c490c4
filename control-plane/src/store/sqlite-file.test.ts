import { closeSync, copyFileSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { systemTimers } from '@remora/core/clock';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { backupStore, restoreStore } from './backup.ts';
import { layoutVersion, migrate, migrations } from './migrations.ts';
import { openSqliteStore } from './sqlite-store.ts';
import type { SqliteStore } from './sqlite-store.ts';
import { append, change, setClock } from './testdata/store-samples.ts';
import type { SetClock } from './testdata/store-samples.ts';

describe('the database file', () => {
  let folder: string;
  let path: string;
  let clock: SetClock;
  const opened: SqliteStore[] = [];
  const alarms: unknown[] = [];
  const open = (file = path, bytesMax?: number): SqliteStore => {
    const store = openSqliteStore({ path: file, clock, ...(bytesMax === undefined ? {} : { bytesMax }), timers: systemTimers, alarm: (error) => alarms.push(error) });
    opened.push(store);
    return store;
  };
  const codeOf = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      return (error as { code: string }).code;
    }
    return 'none';
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'remora-file-'));
    path = join(folder, 'control-plane.db');
    clock = setClock();
    alarms.length = 0;
  });
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    rmSync(folder, { recursive: true });
  });

  const filled = async (documents = 50): Promise<SqliteStore> => {
    const store = open();
    for (let n = 0; n < documents; n++) await append(store, [change(`Service/s${n}`, null, n)]);
    return store;
  };

  test('a large entry that writes, changes and deletes is there after a restart as it was before', async () => {
    const store = open();
    const names = Array.from({ length: 2_500 }, (_, n) => `Service/s${n}"\\\u{1f600}` as const);
    await append(store, names.map((key, n) => change(key, null, n)));
    await append(store, [...names.slice(0, 1_200).map((key, n) => change(key, n, null)), ...names.slice(2_000).map((key, n) => change(key, 2_000 + n, -1)), change('Service/new', null, 1)]);
    const before = new Map(store.documents());
    expect(before.size).toBe(1_301);
    await store.close();
    const again = open();
    expect(new Map(again.documents())).toEqual(before);
  });

  test('everything is there after a restart: log, documents, keys, manifests, records, fences', async () => {
    const store = await filled(3);
    await append(store, [change('Service/s0', 0, 7, 'team')], {
      idempotencyKey: 'k', idempotencyFingerprint: 'f', compiled: { manifests: new Map([['service/s0', 'a'.repeat(64)]]), blobs: new Map([['a'.repeat(64), Buffer.from('bytes')]]), references: new Map() },
    });
    store.putRecords('sidecars', new Map([['n1', { at: 1 }]]));
    const fence = store.nextFence();
    const before = { head: store.head(), documents: [...store.documents()], entries: store.entries({ limit: 10 }) };
    await store.close();
    const again = open();
    expect({ head: again.head(), documents: [...again.documents()], entries: again.entries({ limit: 10 }) }).toEqual(before);
    expect(again.repeated('k')).toMatchObject({ fingerprint: 'f', entry: { version: { index: 4 } } });
    expect(again.manifestAt(4, 'service/s0')).toBe('a'.repeat(64));
    expect(Buffer.from(again.blob('a'.repeat(64)) ?? []).toString()).toBe('bytes');
    expect(again.records('sidecars').get('n1')).toEqual({ at: 1 });
    expect(again.nextFence()).toBeGreaterThan(fence);
  });

  // A large entry is written ahead of the commit that makes it one; a process that was killed between the two leaves versions behind the head.
  test('what was written ahead of an entry that never came is gone after a start', async () => {
    const store = await filled(2);
    await store.close();
    const db = new DatabaseSync(path);
    db.prepare('INSERT INTO document_versions (key, idx, document, owner) VALUES (?, ?, ?, ?)').run('Service/s0', 3, '{"v":99}', '');
    db.close();
    const again = open();
    expect(again.documents().get('Service/s0')?.document).toEqual({ v: 0 });
    await append(again, [change('Service/s0', 0, 1)]);
    expect(again.documents({ epoch: again.head().epoch, index: 3 }).get('Service/s0')?.document).toEqual({ v: 1 });
  });

  test('a large entry for which the disk has no room leaves nothing, and the next one is written', async () => {
    const store = open(path, 512 * 1024);
    await append(store, [change('Service/s0', null, 0)]);
    const large = Array.from({ length: 4_000 }, (_, n) => ({ ...change(`Service/s${n}`, null, n), after: { v: n, text: 'x'.repeat(500) } }));
    await expect(append(store, large)).rejects.toMatchObject({ code: 'store-full' });
    expect(store.head().index).toBe(1);
    expect([...store.documents().keys()]).toEqual(['Service/s0']);
    await append(store, [change('Service/s1', null, 1)]);
    expect([...store.documents().keys()].sort()).toEqual(['Service/s0', 'Service/s1']);
  });

  test('a second control plane on the same store is told so, and can start when the first is gone', async () => {
    const store = await filled(1);
    expect(codeOf(() => open())).toBe('store-locked');
    await append(store, [change('Service/s0', 0, 1)]);
    await store.close();
    expect(open().head().index).toBe(2);
  });

  test('a database that somebody else locks: the write is refused, nothing is lost, and the next one works', async () => {
    const store = await filled(2);
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    await expect(append(store, [change('Service/x', null, 1)])).rejects.toMatchObject({ code: 'store-locked' });
    expect(store.head().index).toBe(2);
    other.exec('ROLLBACK');
    other.close();
    expect(await append(store, [change('Service/x', null, 1)])).toBe(3);
  });

  test('a full disk: the write is refused by name, everything before it stays, and it goes on when there is room', async () => {
    await (await filled(2)).close();
    const store = open(path, 300_000);
    const large = { key: 'Service/large', before: null, after: { v: 'x'.repeat(1_000_000) }, ownerBefore: '', ownerAfter: '' } as const;
    await expect(append(store, [large])).rejects.toMatchObject({ code: 'store-full' });
    expect(store.head().index).toBe(2);
    expect([...store.documents().keys()]).toEqual(['Service/s0', 'Service/s1']);
    expect(await append(store, [change('Service/small', null, 1)])).toBe(3);
    await store.close();
    const roomy = open();
    expect(roomy.documents().size).toBe(3);
    expect(await append(roomy, [large])).toBe(4);
  });

  test('a file cut anywhere is refused by name or opens whole; it never opens with less, silently', async () => {
    const store = await filled(200);
    await store.close();
    const size = statSync(path).size;
    const codes = new Map<string, number>();
    for (let part = 0; part < 24; part++) {
      const cut = join(folder, `cut-${part}.db`);
      copyFileSync(path, cut);
      truncateSync(cut, Math.floor((size * part) / 24));
      const code = codeOf(() => open(cut));
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    expect([...codes.keys()].sort()).toEqual(expect.arrayContaining(['store-corrupt']));
    expect(codes.get('none')).toBeUndefined();
  });

  test('overwritten pages are noticed at the start', async () => {
    const store = await filled(200);
    await store.close();
    const descriptor = openSync(path, 'r+');
    writeSync(descriptor, Buffer.alloc(4096, 0x5a), 0, 4096, 4096 * 3);
    closeSync(descriptor);
    expect(codeOf(() => open())).toBe('store-corrupt');
  });

  test.each([
    ['an empty file', () => writeFileSync(path, ''), 'store-corrupt'],
    ['a text', () => writeFileSync(path, 'hello '.repeat(1_000)), 'store-not-ours'],
    ['another program\'s database', () => { const db = new DatabaseSync(path); db.exec('CREATE TABLE t (x)'); db.close(); }, 'store-not-ours'],
    ['a log without its database', () => writeFileSync(`${path}-wal`, 'x'), 'store-corrupt'],
  ])('%s is refused and left as it is', (_name, make, code) => {
    make();
    const before = existsSync(path) ? readFileSync(path) : null;
    expect(codeOf(() => open())).toBe(code);
    expect(existsSync(path) ? readFileSync(path) : null).toEqual(before);
  });

  test('a database of a newer version is refused and left as it is', async () => {
    const store = await filled(1);
    await store.close();
    const db = new DatabaseSync(path);
    db.prepare('INSERT INTO migrations (number, name, at_ms) VALUES (?, ?, ?)').run(layoutVersion + 1, 'future', 0);
    db.close();
    expect(codeOf(() => open())).toBe('store-newer');
    expect(codeOf(() => open())).toBe('store-newer');
  });

  test('a data folder that cannot be made says which', () => {
    writeFileSync(join(folder, 'file'), '');
    expect(codeOf(() => open(join(folder, 'file', 'x', 'control-plane.db')))).toBe('store-io');
  });

  test('an unfinished creation is started again', async () => {
    writeFileSync(`${path}.new`, 'half');
    const store = await filled(1);
    expect(store.head().index).toBe(1);
    expect(existsSync(`${path}.new`)).toBe(false);
  });

  test('flushed records are on the disk when the call returns', async () => {
    const store = await filled(1);
    store.putRecords('tokens', new Map([['t1', { uses: 1 }]]));
    store.flushRecords();
    const reader = new DatabaseSync(path, { readOnly: true });
    expect(reader.prepare("SELECT value FROM records WHERE namespace = 'tokens'").get()?.['value']).toBe('{"uses":1}');
    reader.close();
  });

  test('records that cannot be written are kept and tried again', async () => {
    const store = await filled(1);
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    store.putRecords('sidecars', new Map([['n1', { at: 1 }]]));
    await expect.poll(() => alarms.length, { timeout: 30_000 }).toBeGreaterThan(0);
    other.exec('ROLLBACK');
    other.close();
    expect(store.records('sidecars').get('n1')).toEqual({ at: 1 });
    const reader = new DatabaseSync(path, { readOnly: true });
    await expect.poll(() => reader.prepare('SELECT count(*) AS count FROM records').get()?.['count'], { timeout: 30_000 }).toBe(1);
    reader.close();
  });

  describe('backup and restore', () => {
    test('a backup of a running store is consistent, and restores into a new epoch', async () => {
      const store = await filled(20);
      const copy = join(folder, 'copy.db');
      const writing = (async () => { for (let n = 0; n < 50; n++) { await append(store, [change(`Policy/p${n}`, null, n)]); await new Promise((resolve) => { setImmediate(resolve); }); } })();
      const { head } = await backupStore({ dataDir: folder, to: copy });
      await writing;
      expect(head.index).toBeGreaterThanOrEqual(20);
      clock.nowMs += 5_000_000;
      const restored = await restoreStore({ from: copy, dataDir: join(folder, 'restored'), clock, timers: systemTimers, author: 'ana' });
      expect(restored.head).toEqual({ epoch: Math.floor(clock.nowMs / 1_000), index: head.index + 1 });
      const again = open(join(folder, 'restored', 'control-plane.db'));
      expect(again.head()).toEqual(restored.head);
      expect(again.documents().size).toBe(head.index);
      expect(again.entry(head.index + 1)).toMatchObject({ kind: 'restored', author: 'ana', of: head.index });
      expect(await append(again, [change('Service/new', null, 1)])).toBe(head.index + 2);
      expect(again.documents({ epoch: head.epoch, index: head.index }).size).toBe(head.index);
    });

    test('the epoch grows even where the clock does not', async () => {
      const store = await filled(1);
      await store.backup(join(folder, 'copy.db'));
      clock.nowMs = 1_000_000;
      const { head } = await restoreStore({ from: join(folder, 'copy.db'), dataDir: join(folder, 'r'), clock, timers: systemTimers, author: 'ana' });
      expect(head.epoch).toBe(store.head().epoch + 1);
    });

    test('a folder with a store, a missing, damaged or newer backup are refused, and nothing is left behind', async () => {
      const store = await filled(60);
      const copy = join(folder, 'copy.db');
      await store.backup(copy);
      const restore = (from: string, dataDir: string): Promise<unknown> => restoreStore({ from, dataDir, clock, timers: systemTimers, author: 'ana' });
      await expect(restore(copy, folder)).rejects.toMatchObject({ code: 'store-exists' });
      await expect(restore(join(folder, 'none.db'), join(folder, 'r'))).rejects.toMatchObject({ code: 'store-missing' });
      const newer = join(folder, 'newer.db');
      copyFileSync(copy, newer);
      const db = new DatabaseSync(newer);
      db.prepare('INSERT INTO migrations (number, name, at_ms) VALUES (?, ?, ?)').run(layoutVersion + 1, 'future', 0);
      db.close();
      await expect(restore(newer, join(folder, 'r'))).rejects.toMatchObject({ code: 'store-newer' });
      truncateSync(copy, 20_000);
      await expect(restore(copy, join(folder, 'r'))).rejects.toMatchObject({ code: 'store-corrupt' });
      expect(existsSync(join(folder, 'r', 'control-plane.db'))).toBe(false);
    });
  });

  describe('migrations', () => {
    test('are numbered without gaps', () => {
      expect(migrations.map(({ number }) => number)).toEqual(migrations.map((_, at) => at + 1));
    });

    test.each(migrations.map(({ number }) => number))('a store of released layout %i is brought up, with everything in it', async (number) => {
      copyFileSync(join(import.meta.dirname, `testdata/layout-${number}.db`), path);
      const store = open();
      expect(store.head()).toEqual({ epoch: 1_800_000_000, index: 4 });
      expect(Object.fromEntries([...store.documents()].map(([key, { document, owner, writtenAt }]) => [key, [document, owner, writtenAt]]))).toEqual({ 'Policy/b': [{ v: 2 }, 'team', 1], 'Service/a': [{ v: 3 }, '', 2] });
      expect(store.documents({ epoch: 1_800_000_000, index: 1 }).get('Service/a')?.document).toEqual({ v: 1 });
      expect(store.entry(4)).toMatchObject({ kind: 'grant', author: 'ana', message: 'forced', grants: [{ guard: 'loses-routes', subjects: ['gateway/edge'] }] });
      expect(store.manifestAt(3, 'service/a')).toBe('b'.repeat(64));
      expect(Buffer.from(store.blob('b'.repeat(64)) ?? []).toString()).toBe('manifest');
      expect(store.records('sidecars').get('n1')).toEqual({ at: 1 });
      expect(await append(store, [change('Service/new', null, 1)])).toBe(5);
    });

    test('a step that fails leaves the layout before it', async () => {
      const store = await filled(1);
      await store.close();
      const db = new DatabaseSync(path);
      const bad = { number: layoutVersion + 1, name: 'bad', up: 'CREATE TABLE extra (x); INSERT INTO nowhere VALUES (1)' };
      expect(() => migrate(db, { path, nowMs: 0, steps: [...migrations, bad] })).toThrow('nowhere');
      expect(db.prepare("SELECT count(*) AS count FROM sqlite_schema WHERE name = 'extra'").get()?.['count']).toBe(0);
      db.close();
      expect(open().head().index).toBe(1);
    });
  });
});
