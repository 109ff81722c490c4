import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FileSnapshotDisk } from './file-snapshot-disk.ts';
import { candidateToRecord, encodeRecord, readRecord, recordToCandidate, recordVersion } from './snapshot-record.ts';
import { edge, snapshot } from './testdata/client-fixture.ts';

let directory: string;
let disk: FileSnapshotDisk;
beforeEach(() => {
  directory = path.join(mkdtempSync(path.join(tmpdir(), 'remora-disk-')), 'data');
  disk = new FileSnapshotDisk(directory, edge);
});
afterEach(() => rmSync(path.dirname(directory), { recursive: true, force: true }));

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
    for (const name of ['snapshot.current', 'notes.current']) expect(statSync(file(name)).mode & 0o777).toBe(0o600);
  });
});

describe('a damaged newest generation', () => {
  const bytesOf = async (): Promise<Buffer> => {
    await keep(1);
    await keep(2);
    return readFileSync(file('snapshot.current'));
  };

  test('cut at any byte leaves the older one', async () => {
    const whole = await bytesOf();
    for (let length = 0; length < whole.length; length++) {
      const read = readRecord(whole.subarray(0, length));
      expect(read.ok, `cut at ${length}`).toBe(false);
    }
    for (const length of [0, 1, 12, 13, 40, whole.length >> 1, whole.length - 33, whole.length - 1]) {
      writeFileSync(file('snapshot.current'), whole.subarray(0, length));
      const { candidates, problems } = await disk.load();
      expect(candidates.map(({ version }) => version.index), `cut at ${length}`).toEqual([1]);
      expect(problems).toHaveLength(1);
    }
  });

  test('with any bit flipped leaves the older one', async () => {
    const whole = await bytesOf();
    for (let at = 0; at < whole.length; at++) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      expect(readRecord(flipped).ok, `byte ${at}`).toBe(false);
    }
  });

  const wrong: readonly [string, (whole: Buffer) => Buffer, string][] = [
    ['empty', () => Buffer.alloc(0), 'empty'],
    ['something else', () => Buffer.from('{"json": true}, and long enough to be more than the head of a file of ours'), 'not-a-snapshot'],
    ['from a newer version', (whole) => Buffer.concat([whole.subarray(0, 8), Buffer.from([recordVersion + 1]), whole.subarray(9)]), 'newer-version'],
    ['with bytes behind its end', (whole) => Buffer.concat([whole, Buffer.from('x')]), 'checksum'],
  ];
  test.each(wrong)('%s is told apart', async (_name, change, code) => {
    writeFileSync(file('snapshot.current'), change(await bytesOf()));
    const { candidates, problems } = await disk.load();
    expect(problems).toMatchObject([{ file: 'snapshot.current', code }]);
    expect(candidates.map(({ version }) => version.index)).toEqual([1]);
  });

  test('that cannot be opened is a problem, not a crash', async () => {
    await bytesOf();
    rmSync(file('snapshot.current'));
    writeFileSync(file('blocker'), '');
    chmodSync(file('snapshot.previous'), 0o600);
    const other = new FileSnapshotDisk(file('blocker'), edge);
    expect((await other.load()).problems.map(({ code }) => code)).toEqual(['unreadable', 'unreadable']);
    expect(await versions()).toEqual([1]);
  });

  test('of another subject is not taken', async () => {
    await keep(1);
    const other = new FileSnapshotDisk(directory, { kind: 'service', name: 'edge' });
    expect(await other.load()).toMatchObject({ candidates: [], problems: [{ code: 'wrong-subject' }] });
  });
});

describe('writing', () => {
  test('rejects where it cannot', async () => {
    writeFileSync(directory, 'a file where the directory should be');
    await expect(disk.writeCandidate(snapshot(1))).rejects.toThrow(/EEXIST|ENOTDIR/);
  });

  test('goes over whatever a crash left', async () => {
    await keep(1);
    writeFileSync(file('snapshot.candidate'), 'half');
    await keep(2);
    expect(await versions()).toEqual([2, 1]);
  });
});

describe('endpoints and notes', () => {
  test('come back', async () => {
    const endpoints = { version: { epoch: 3, index: 4 }, hash: 'ab', sets: new Map([['__proto__', Buffer.from('x')]]) };
    await disk.writeEndpoints(endpoints);
    expect((await disk.loadEndpoints()).endpoints).toEqual(endpoints);
    const notes = { incarnation: 8, lastContactMs: 5, label: { hash: 'aa', version: { epoch: 1, index: 2 } }, refused: [{ hash: 'bb', build: 'cc' }] };
    await disk.writeNotes(notes);
    expect((await disk.loadNotes()).notes).toEqual(notes);
  });

  test('damaged are none, with the reason', async () => {
    await disk.writeEndpoints({ version: { epoch: 3, index: 4 }, hash: 'ab', sets: new Map() });
    writeFileSync(file('endpoints.current'), 'x');
    writeFileSync(file('notes.current'), '');
    expect(await disk.loadEndpoints()).toMatchObject({ endpoints: null, problem: { code: 'not-a-snapshot' } });
    expect(await disk.loadNotes()).toMatchObject({ notes: null, problem: { code: 'empty' } });
  });
});

test('a record of 20 MB is written in pieces', () => {
  const candidate = { ...snapshot(1), resources: new Map(Array.from({ length: 100 }, (_, i): [string, Uint8Array] => [`${i}`, Buffer.alloc(200_000, i)])) };
  const pieces = [...encodeRecord(candidateToRecord(candidate))];
  expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThanOrEqual(200_000);
  const read = readRecord(Buffer.concat(pieces));
  expect(read.ok && recordToCandidate(read.record)?.resources.size).toBe(100);
});
