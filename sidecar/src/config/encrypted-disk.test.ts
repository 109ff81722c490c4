import { hash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FileIdentityDisk } from '../identity/file-identity-disk.ts';
import { DiskKey } from './disk-key.ts';
import { FileSnapshotDisk } from './file-snapshot-disk.ts';
import type { StoredEndpoints } from './snapshot-disk.ts';
import { candidateToRecord, encodeRecord, readRecord, recordLength } from './snapshot-record.ts';
import { edge, snapshot } from './testdata/client-fixture.ts';

const key = new DiskKey(Buffer.alloc(32, 1).fill(2, 5));
const otherKey = new DiskKey(Buffer.alloc(32, 3).fill(2, 5));
const planted = 'PLANTED-SECRET-OF-A-POLICY';
const endpoints: StoredEndpoints = { version: { epoch: 3, index: 4 }, hash: 'ab', sets: new Map([['planted-service-name', Buffer.from('x')]]), items: new Map([['secret/pin', Buffer.from(planted)]]) };
const identity = { held: { key: Buffer.from(planted), chain: [Buffer.from('c')], roots: [Buffer.from('r')], trustDomain: 'planted.example', recoverUntilMs: 5 }, joining: null };

let directory: string;
const open: FileSnapshotDisk[] = [];
beforeEach(() => {
  directory = path.join(mkdtempSync(path.join(tmpdir(), 'remora-sealed-')), 'data');
});
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
  rmSync(path.dirname(directory), { recursive: true, force: true });
});

function diskWith(with_: DiskKey | null): FileSnapshotDisk {
  const disk = new FileSnapshotDisk(directory, edge, { monotonicMs: () => 0 }, with_);
  open.push(disk);
  return disk;
}

async function keep(disk: FileSnapshotDisk, ...indexes: readonly number[]): Promise<void> {
  for (const index of indexes) {
    await disk.writeCandidate(snapshot(index, { text: planted }));
    await disk.markGood();
  }
}

async function versions(disk: FileSnapshotDisk): Promise<readonly number[]> {
  return (await disk.load()).candidates.map(({ version }) => version.index);
}

async function fill(disk: FileSnapshotDisk, with_: DiskKey | null): Promise<void> {
  await keep(disk, 1, 2);
  await disk.writeEndpoints(endpoints);
  await disk.writeNotes({ incarnation: 8, lastContactMs: 5, label: null, refused: [] });
  await new FileIdentityDisk(directory, with_).write(identity);
}

describe('with a key', () => {
  test('everything comes back as it was', async () => {
    const disk = diskWith(key);
    await fill(disk, key);
    const again = diskWith(key);
    expect(await versions(again)).toEqual([2, 1]);
    expect((await again.load()).candidates[0]).toEqual({ ...snapshot(2, { text: planted }), resources: expect.anything(), manifest: expect.anything() });
    expect((await again.loadEndpoints()).endpoints).toEqual(endpoints);
    expect((await again.loadNotes()).notes).toMatchObject({ incarnation: 8 });
    expect((await new FileIdentityDisk(directory, key).load()).stored).toEqual(identity);
  });

  test('stolen files tell nothing: no name, no value, and no two are alike', async () => {
    await fill(diskWith(key), key);
    const tells = (text: string): string[] => readdirSync(directory).filter((name) => readFileSync(path.join(directory, name)).includes(text));
    const base64 = Buffer.from(planted).toString('base64').slice(0, -4);
    for (const text of [planted, base64, 'planted', 'edge', 'plain', 'snapshot"', 'trustDomain']) expect(tells(text), text).toEqual([]);
    for (const name of readdirSync(directory)) expect(statSync(path.join(directory, name)).mode & 0o777, name).toBe(0o600);
    const bytes = (): Buffer => readFileSync(path.join(directory, 'endpoints.current'));
    const before = bytes();
    await diskWith(key).writeEndpoints(endpoints);
    expect(bytes().subarray(13, 25)).not.toEqual(before.subarray(13, 25));
    expect(bytes().subarray(25, 60)).not.toEqual(before.subarray(25, 60));
  });

  test('in the open, the same files tell everything: the test above would see it', async () => {
    await fill(diskWith(null), null);
    expect(readdirSync(directory).filter((name) => readFileSync(path.join(directory, name)).includes(planted)).sort()).toEqual(['endpoints.current', 'snapshot.0', 'snapshot.1']);
  });

  test.each([['another', otherKey, 'other-key'], ['no', null, 'encrypted']])('%s key: nothing is read, it is said, nothing is lost, and the next snapshot is kept', async (_name, given, code) => {
    await fill(diskWith(key), key);
    const disk = diskWith(given);
    expect(await disk.load()).toMatchObject({ candidates: [], problems: [{ code }, { code }] });
    expect(await disk.loadEndpoints()).toMatchObject({ endpoints: null, problem: { code } });
    expect(await disk.loadNotes()).toMatchObject({ notes: null, problem: { code } });
    const identityDisk = new FileIdentityDisk(directory, given);
    expect(await identityDisk.load()).toMatchObject({ stored: { held: null }, problem: expect.stringContaining('kept beside') });
    await identityDisk.write({ held: null, joining: Buffer.from('new') });
    expect(readdirSync(directory)).toContain('identity.json.other-key');
    expect((await new FileIdentityDisk(directory, given).load()).stored.joining).toEqual(Buffer.from('new'));
    await keep(disk, 7);
    expect(await versions(diskWith(given))).toEqual([7]);
  });

  test('files from before there was a key are read, and encrypted at once', async () => {
    await fill(diskWith(null), null);
    const disk = diskWith(key);
    expect(await versions(disk)).toEqual([2, 1]);
    expect((await disk.loadEndpoints()).endpoints).toEqual(endpoints);
    await disk.loadNotes();
    expect((await new FileIdentityDisk(directory, key).load()).stored).toEqual(identity);
    for (const name of readdirSync(directory)) expect(readFileSync(path.join(directory, name)).includes('planted') || readFileSync(path.join(directory, name)).includes(planted), name).toBe(false);
    expect(await versions(diskWith(key))).toEqual([2, 2]);
    await keep(disk, 5);
    expect(await versions(diskWith(key))).toEqual([5, 2]);
  });
});

describe('a damaged newest generation, encrypted', () => {
  const newest = 'snapshot.1';
  const bytesOf = async (): Promise<Buffer> => {
    await keep(diskWith(key), 1, 2);
    return readFileSync(path.join(directory, newest));
  };

  test('cut at any byte leaves the older one', async () => {
    const whole = await bytesOf();
    const disk = diskWith(key);
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(path.join(directory, newest), whole.subarray(0, length));
      const { candidates, problems } = await disk.load();
      expect(candidates.map(({ version }) => version.index), `cut at ${length}`).toEqual([1]);
      expect(problems.map((each) => each.file), `cut at ${length}`).toEqual([newest]);
    }
  });

  test('with any bit flipped leaves the older one', async () => {
    const whole = await bytesOf();
    const disk = diskWith(key);
    for (let at = 0; at < whole.length; at++) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      writeFileSync(path.join(directory, newest), flipped);
      const { candidates, problems } = await disk.load();
      expect(candidates.map(({ version }) => version.index), `byte ${at}`).toEqual([1]);
      expect(problems, `byte ${at}`).toHaveLength(1);
    }
  });

  test('changed with a checksum that fits is told by the tag, in the part that is in the open too', () => {
    const whole = Buffer.concat([...encodeRecord(candidateToRecord(snapshot(1), 1), key).pieces]);
    expect(readRecord(whole, key)).toMatchObject({ ok: true });
    for (const at of [14, 30, whole.length - 40]) {
      const changed = Buffer.from(whole.subarray(0, -32));
      changed[at] = (changed[at] ?? 0) ^ 1;
      const forged = Buffer.concat([changed, hash('sha256', changed, 'buffer')]);
      expect(readRecord(forged, key)).toMatchObject({ ok: false, code: 'other-key' });
    }
  });

  test('any bytes give a reason', () => {
    for (let i = 0; i < 200; i++) expect(readRecord(Buffer.concat([Buffer.from('REMORA\r\n\x03', 'latin1'), randomBytes(i)]), key).ok).toBe(false);
  });
});

test('an encrypted record of 20 MB is written in pieces, and read back', () => {
  const candidate = { ...snapshot(1), resources: new Map(Array.from({ length: 100 }, (_, i): [string, Uint8Array] => [`${i}`, Buffer.alloc(200_000, i)])) };
  const { length, pieces: encoded } = encodeRecord(candidateToRecord(candidate, 1), key);
  const pieces = [...encoded];
  expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThanOrEqual(1_048_576);
  const whole = Buffer.concat(pieces);
  expect([whole.length, recordLength(whole)]).toEqual([length, length]);
  const read = readRecord(whole, key);
  expect(read.ok && read.record.blobs.size).toBe(101);
});
