import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FileSnapshotDisk } from './file-snapshot-disk.ts';
import { candidateToRecord, encodeRecord, readRecord, recordLength, recordToCandidate, recordVersion } from './snapshot-record.ts';
import { edge, snapshot } from './testdata/client-fixture.ts';

let directory: string;
let disk: FileSnapshotDisk;
let nowMs = 0;
const clock = { monotonicMs: () => nowMs };
beforeEach(() => {
  directory = path.join(mkdtempSync(path.join(tmpdir(), 'remora-disk-')), 'data');
  disk = new FileSnapshotDisk(directory, edge, clock);
});
afterEach(async () => {
  await disk.close();
  rmSync(path.dirname(directory), { recursive: true, force: true });
});

async function keep(index: number): Promise<void> {
  const candidate = snapshot(index);
  await disk.writeCandidate(candidate);
  await disk.markGood();
}

function file(name: string): string {
  return path.join(directory, name);
}

async function versions(): Promise<readonly number[]> {
  return (await disk.load()).candidates.map(({ version }) => version.index);
}

describe('two generations', () => {
  test('of what was good, newest first; a candidate is none of them', async () => {
    expect(await disk.load()).toEqual({ candidates: [], problems: [] });
    await keep(1);
    expect(await versions()).toEqual([1]);
    await keep(2);
    await keep(3);
    expect(await versions()).toEqual([3, 2]);
    await disk.writeCandidate(snapshot(4));
    expect(await versions()).toEqual([3, 2]);
  });

  test('come back as they were, to the byte', async () => {
    await keep(5);
    const [candidate] = (await disk.load()).candidates;
    const original = snapshot(5);
    expect(candidate?.hash).toBe(original.hash);
    expect(candidate?.subject).toEqual(original.subject);
    expect([...(candidate?.resources ?? [])].map(([hash, bytes]) => [hash, Buffer.from(bytes).toString('hex')]))
      .toEqual([...original.resources].map(([hash, bytes]) => [hash, Buffer.from(bytes).toString('hex')]));
  });

  test('are readable by the owner only', async () => {
    await keep(1);
    await disk.writeNotes({ incarnation: 1, lastContactMs: 0, label: null, refused: [] });
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    for (const name of ['snapshot.0', 'notes.current']) expect(statSync(file(name)).mode & 0o777).toBe(0o600);
  });
});

describe('a damaged newest generation', () => {
  /** Slot 0 holds the older one, slot 1 the newest. */
  const newest = 'snapshot.1';
  const bytesOf = async (): Promise<Buffer> => {
    await keep(1);
    await keep(2);
    return readFileSync(file(newest));
  };

  test('cut at any byte leaves the older one', async () => {
    const whole = await bytesOf();
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(file(newest), whole.subarray(0, length));
      const { candidates, problems } = await disk.load();
      expect(candidates.map(({ version }) => version.index), `cut at ${length}`).toEqual([1]);
      expect(problems.map((each) => each.file), `cut at ${length}`).toEqual([newest]);
    }
  });

  test('with any bit flipped leaves the older one', async () => {
    const whole = await bytesOf();
    for (let at = 0; at < whole.length; at++) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      writeFileSync(file(newest), flipped);
      const { candidates, problems } = await disk.load();
      expect(candidates.map(({ version }) => version.index), `byte ${at}`).toEqual([1]);
      expect(problems, `byte ${at}`).toHaveLength(1);
    }
  });

  const wrong: readonly [string, (whole: Buffer) => Buffer, string][] = [
    ['empty', () => Buffer.alloc(0), 'empty'],
    ['something else', () => Buffer.from('{"json": true}, and long enough to be more than the head of a file of ours'), 'not-a-snapshot'],
    ['from a newer version', (whole) => Buffer.concat([whole.subarray(0, 8), Buffer.from([recordVersion + 1]), whole.subarray(9)]), 'newer-version'],
    ['of zeros', (whole) => Buffer.alloc(whole.length), 'not-a-snapshot'],
    ['marked by something else', (whole) => Buffer.concat([whole.subarray(0, -32), Buffer.alloc(32, 1)]), 'checksum'],
  ];
  test.each(wrong)('%s is told apart', async (_name, change, code) => {
    writeFileSync(file(newest), change(await bytesOf()));
    const { candidates, problems } = await disk.load();
    expect(problems).toMatchObject([{ file: newest, code }]);
    expect(candidates.map(({ version }) => version.index)).toEqual([1]);
  });

  test('and the older one damaged too: nothing, and both are said', async () => {
    await bytesOf();
    for (const name of ['snapshot.0', newest]) writeFileSync(file(name), 'x');
    const { candidates, problems } = await disk.load();
    expect(candidates).toEqual([]);
    expect(problems.map((each) => each.file)).toEqual(['snapshot.0', newest]);
  });

  test('that cannot be opened is a problem, not a crash', async () => {
    await bytesOf();
    writeFileSync(file('blocker'), '');
    const other = new FileSnapshotDisk(file('blocker'), edge, clock);
    expect((await other.load()).problems.map(({ code }) => code)).toEqual(['unreadable', 'unreadable', 'unreadable']);
    expect(await versions()).toEqual([2, 1]);
  });

  test('of another subject is not taken', async () => {
    await keep(1);
    const other = new FileSnapshotDisk(directory, { kind: 'service', name: 'edge' }, clock);
    expect(await other.load()).toMatchObject({ candidates: [], problems: [{ code: 'wrong-subject' }] });
  });
});

describe('writing', () => {
  test('rejects where it cannot', async () => {
    writeFileSync(directory, 'a file where the directory should be');
    await expect(disk.writeCandidate(snapshot(1))).rejects.toThrow(/EEXIST|ENOTDIR/);
  });

  test('goes over whatever a crash left, and never over one of the two generations', async () => {
    await keep(1);
    await keep(2);
    await disk.writeCandidate(snapshot(3));
    const half = readFileSync(file('snapshot.2'));
    writeFileSync(file('snapshot.2'), half.subarray(0, half.length >> 1));
    const after = new FileSnapshotDisk(directory, edge, clock);
    expect((await after.load()).candidates.map(({ version }) => version.index)).toEqual([2, 1]);
    await after.writeCandidate(snapshot(4));
    expect(await versions()).toEqual([2, 1]);
    await after.markGood();
    expect(await versions()).toEqual([4, 2]);
    await after.close();
  });

  test('of refused candidates, again and again, leaves the generations', async () => {
    await keep(1);
    await keep(2);
    for (let index = 3; index < 8; index++) await disk.writeCandidate(snapshot(index));
    expect(await versions()).toEqual([2, 1]);
    await keep(9);
    expect(await versions()).toEqual([9, 2]);
  });

  test('makes the folder anew where it was emptied meanwhile', async () => {
    await keep(1);
    rmSync(directory, { recursive: true });
    nowMs += 10_000;
    await keep(2);
    expect(await versions()).toEqual([2]);
  });

  test('of a short snapshot after a long one gives the space back', async () => {
    const long = { ...snapshot(1), resources: new Map(Array.from({ length: 40 }, (_, i): [string, Uint8Array] => [`${i}`, Buffer.alloc(200_000, i)])) };
    await disk.writeCandidate(long);
    await disk.markGood();
    expect((await disk.load()).candidates[0]?.resources.size).toBe(40);
    for (const index of [2, 3, 4]) await keep(index);
    expect(await versions()).toEqual([4, 3]);
    for (const name of ['snapshot.0', 'snapshot.1', 'snapshot.2']) expect(statSync(file(name)).size).toBeLessThan(100_000);
  });
});

describe('endpoints and notes', () => {
  test('come back', async () => {
    const endpoints = { version: { epoch: 3, index: 4 }, hash: 'ab', sets: new Map([['__proto__', Buffer.from('x')]]), items: new Map([['secret/pin', Buffer.from('1')], ['trustBundle/shop.example', Buffer.alloc(0)]]) };
    await disk.writeEndpoints(endpoints);
    expect((await disk.loadEndpoints()).endpoints).toEqual(endpoints);
    const notes = { incarnation: 8, lastContactMs: 5, label: { hash: 'aa', version: { epoch: 1, index: 2 } }, refused: [{ hash: 'bb', build: 'cc' }] };
    await disk.writeNotes(notes);
    expect((await disk.loadNotes()).notes).toEqual(notes);
  });

  test('of a build that had no items come back with sets only, and the file is its owner\'s', async () => {
    await disk.writeEndpoints({ version: { epoch: 3, index: 4 }, hash: 'ab', sets: new Map([['orders', Buffer.from('x')]]), items: new Map() });
    expect(readRecord(readFileSync(file('endpoints.current')))).toMatchObject({ ok: true, record: { blobs: new Map([['orders', Buffer.from('x')]]) } });
    expect((await disk.loadEndpoints()).endpoints?.items.size).toBe(0);
    expect(statSync(file('endpoints.current')).mode & 0o777).toBe(0o600);
  });

  test('damaged are none, with the reason', async () => {
    await disk.writeEndpoints({ version: { epoch: 3, index: 4 }, hash: 'ab', sets: new Map(), items: new Map() });
    writeFileSync(file('endpoints.current'), 'x');
    writeFileSync(file('notes.current'), '');
    expect(await disk.loadEndpoints()).toMatchObject({ endpoints: null, problem: { code: 'not-a-snapshot' } });
    expect(await disk.loadNotes()).toMatchObject({ notes: null, problem: { code: 'empty' } });
  });
});

test('a record of 20 MB is encoded in pieces', () => {
  const candidate = { ...snapshot(1), resources: new Map(Array.from({ length: 100 }, (_, i): [string, Uint8Array] => [`${i}`, Buffer.alloc(200_000, i)])) };
  const { length, pieces: encoded } = encodeRecord(candidateToRecord(candidate, 1));
  const pieces = [...encoded];
  expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThanOrEqual(1_048_576);
  const whole = Buffer.concat(pieces);
  expect([whole.length, recordLength(whole)]).toEqual([length, length]);
  const read = readRecord(whole);
  expect(read.ok && recordToCandidate(read.record)?.candidate.resources.size).toBe(100);
});
