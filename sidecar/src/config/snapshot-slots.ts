import { close, constants, fdatasync, ftruncate, open, write } from 'node:fs';
import { mkdir, open as openFile, readFile, stat, unlink } from 'node:fs/promises';
import { hash } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '@remora/core/clock';
import type { Candidate } from '@remora/snapshot/candidate';
import type { DiskKey } from './disk-key.ts';
import type { DiskProblem } from './snapshot-disk.ts';
import { candidateToRecord, checksumBytes, encodeRecord, isInTheOpen, pieceBytes, readRecord, recordLength, recordToCandidate } from './snapshot-record.ts';

/** A snapshot found in a slot that was marked as good. */
export interface StoredSnapshot {
  readonly candidate: Candidate;
  readonly serial: number;
  readonly file: string;
  readonly writtenMs: number;
}

/**
 * Three files that are written in place, in turn: the newest good snapshot, the one before, and the next. Behind its record each has a mark,
 * which stands there only once the snapshot was enforced. Writing a candidate is one synchronous write (of record and an empty mark) into the
 * slot of neither generation, marking it another; nothing is created, renamed or truncated, so that a file system has nothing to journal:
 * a third of the processor time of writing beside, renaming, and syncing the directory. A write that was torn is told by record and mark.
 */
export class SnapshotSlots {
  readonly #directory: string;
  readonly #files: (OpenSlot | null)[] = slotNames.map(() => null);
  /** Slots of the newest and of the older good snapshot; -1 for none. */
  #current = -1;
  #previous = -1;
  #serial = 0;
  #read = false;
  #staged: { readonly slot: number; readonly end: number; readonly mark: Buffer } | null = null;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #key: DiskKey | null;
  /** Slots that are in the open although there is a key: from before there was one. */
  #plain = new Set<number>();
  #checkedAtMs = -checkEveryMs;

  /** `key` null: in the open. */
  constructor(directory: string, clock: Pick<Clock, 'monotonicMs'>, key: DiskKey | null = null) {
    this.#directory = directory;
    this.#clock = clock;
    this.#key = key;
  }

  /** What is good, newest first, at most two; and what is wrong with the rest. Never rejects. */
  async load(): Promise<{ readonly found: readonly StoredSnapshot[]; readonly problems: readonly DiskProblem[] }> {
    const good: { readonly slot: number; readonly stored: StoredSnapshot }[] = [];
    const problems: DiskProblem[] = [];
    this.#plain.clear();
    for (const [slot, file] of slotNames.entries()) {
      const { stored, problem, plain } = await this.#readSlot(file);
      if (plain) this.#plain.add(slot);
      if (stored) good.push({ slot, stored });
      if (problem) problems.push(problem);
    }
    good.sort((a, b) => b.stored.serial - a.stored.serial);
    this.#current = good[0]?.slot ?? -1;
    this.#previous = good[1]?.slot ?? -1;
    this.#serial = Math.max(this.#serial, good[0]?.stored.serial ?? 0);
    this.#read = true;
    return { found: good.slice(0, 2).map(({ stored }) => stored), problems };
  }

  /** Durable when it resolves, in the slot that holds neither generation. */
  async write(candidate: Candidate): Promise<void> {
    this.#staged = null;
    if (!this.#read) await this.load();
    const slot = slotNames.findIndex((_, i) => i !== this.#current && i !== this.#previous);
    const { length, pieces } = encodeRecord(candidateToRecord(candidate, ++this.#serial), this.#key);
    const file = await this.#open(slot);
    try {
      // Many synchronous writes would wait for the disk once each: a long record is synced at its end.
      const checksum = length <= pieceBytes ? await writePieces(file.fd, pieces) : await writeThenSync(file.path, pieces);
      file.largest = Math.max(file.largest, length + markBytes);
      this.#staged = { slot, end: length, mark: markOf(checksum) };
    } catch (error) {
      await this.#release(slot);
      throw error;
    }
  }

  /** What was written last is the newest good snapshot from now on. Durable when it resolves. */
  async mark(): Promise<void> {
    if (this.#staged === null) throw new Error('invariant: nothing is staged');
    const { slot, end, mark } = this.#staged;
    const file = await this.#open(slot);
    await writeAll(file.fd, mark, end);
    this.#staged = null;
    this.#previous = this.#current;
    this.#current = slot;
    await shrink(file, end + markBytes);
  }

  /**
   * Where a key was given for the first time: what is in the open is written anew with it, and what held it before is removed. The newest is there at each moment.
   * Answers whether there was anything to do.
   */
  async seal(newest: Candidate): Promise<boolean> {
    if (this.#key === null || this.#plain.size === 0) return false;
    // Twice: the newest, and the one before it, are then both encrypted.
    for (let generation = 0; generation < 2; generation++) {
      await this.write(newest);
      await this.mark();
    }
    for (const slot of this.#plain) {
      if (slot === this.#current || slot === this.#previous) continue;
      await this.#release(slot);
      await unlink(join(this.#directory, slotNames[slot] ?? ''));
    }
    this.#plain.clear();
    await syncDirectory(this.#directory);
    return true;
  }

  async close(): Promise<void> {
    for (const slot of this.#files.keys()) await this.#release(slot);
  }

  async #readSlot(file: string): Promise<{ readonly stored: StoredSnapshot | null; readonly problem: DiskProblem | null; readonly plain?: boolean }> {
    let bytes: Buffer;
    let writtenMs: number;
    try {
      bytes = await readFile(join(this.#directory, file));
      writtenMs = Math.floor((await stat(join(this.#directory, file))).mtimeMs);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return { stored: null, problem: code === 'ENOENT' ? null : { file, code: 'unreadable', message } };
    }
    const length = recordLength(bytes);
    const plain = this.#key !== null && isInTheOpen(bytes);
    const read = readRecord(length > 0 ? bytes.subarray(0, length) : bytes, this.#key);
    // Of a damaged one its version says nothing.
    if (!read.ok) return { stored: null, problem: { file, code: read.code, message: read.message } };
    const marked = readMark(bytes, length);
    if (marked === 'damaged') return { stored: null, plain, problem: { file, code: 'checksum', message: 'the mark behind the snapshot does not fit: the file was cut or changed' } };
    // Written, and never enforced: a crash came between, or it was refused.
    if (marked === 'none') return { stored: null, plain, problem: null };
    const found = recordToCandidate(read.record);
    if (!found) return { stored: null, plain, problem: { file, code: 'not-a-snapshot', message: 'the file holds no snapshot' } };
    return { stored: { ...found, file, writtenMs }, plain, problem: null };
  }

  /** Slots stay open; what was deleted under us (a folder that was emptied) is made anew. */
  async #open(slot: number): Promise<OpenSlot> {
    await this.#checkFolder();
    const known = this.#files[slot];
    if (known) return known;
    const path = join(this.#directory, slotNames[slot] ?? '');
    const fd = await openMaking(path, this.#directory);
    const file = { fd, path, largest: 0 };
    this.#files[slot] = file;
    await syncDirectory(this.#directory);
    return file;
  }

  async #checkFolder(): Promise<void> {
    const now = this.#clock.monotonicMs();
    if (now - this.#checkedAtMs < checkEveryMs) return;
    this.#checkedAtMs = now;
    for (const [slot, file] of this.#files.entries()) {
      if (file === null) continue;
      const there = await stat(file.path).catch(() => null);
      if (there === null) await this.#release(slot);
    }
  }

  async #release(slot: number): Promise<void> {
    const file = this.#files[slot];
    this.#files[slot] = null;
    if (file) await new Promise<void>((resolve) => { close(file.fd, () => resolve()); });
  }
}

interface OpenSlot {
  readonly fd: number;
  readonly path: string;
  /** Longest record written since it was opened. */
  largest: number;
}

const slotNames = ['snapshot.0', 'snapshot.1', 'snapshot.2'] as const;
const markBytes = checksumBytes;
const emptyMark = Buffer.alloc(markBytes);
/** Tells a mark from any other hash of a checksum. */
const enforced = Buffer.from('enforced');
/** How often the files are looked for under their names. */
const checkEveryMs = 10_000;
/** A slot that is longer than its record by more than this is cut. */
const slackBytesMax = 4_194_304;

/** Says that the record with this checksum was enforced. */
function markOf(checksum: Buffer): Buffer {
  return hash('sha256', Buffer.concat([checksum, enforced]), 'buffer');
}

function readMark(bytes: Buffer, recordEnd: number): 'good' | 'none' | 'damaged' {
  const mark = bytes.subarray(recordEnd, recordEnd + markBytes);
  if (mark.equals(emptyMark)) return 'none';
  return mark.equals(markOf(bytes.subarray(recordEnd - checksumBytes, recordEnd))) ? 'good' : 'damaged';
}

/** Answers the checksum at the record's end. The last piece goes out together with the empty mark. */
async function writePieces(fd: number, pieces: Iterable<Buffer>): Promise<Buffer> {
  let at = 0;
  let last: Buffer | null = null;
  for (const piece of pieces) {
    if (last !== null) at += await writeAll(fd, last, at);
    last = piece;
  }
  if (last === null) throw new Error('invariant: a record without bytes');
  await writeAll(fd, Buffer.concat([last, emptyMark]), at);
  return last.subarray(last.length - checksumBytes);
}

async function writeThenSync(path: string, pieces: Iterable<Buffer>): Promise<Buffer> {
  const handle = await openFile(path, 'r+');
  try {
    const checksum = await writePieces(handle.fd, pieces);
    await handle.datasync();
    return checksum;
  } finally {
    await handle.close();
  }
}

/** O_DSYNC: a write that is done is durable. Without O_CREAT's truncation, which would give blocks back to the file system. */
function openMaking(path: string, directory: string): Promise<number> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_DSYNC;
  const attempt = (): Promise<number> => new Promise((resolve, reject) => {
    open(path, flags, 0o600, (error, fd) => (error ? reject(error) : resolve(fd)));
  });
  return attempt().catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return attempt();
  });
}

function writeAll(fd: number, bytes: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const next = (from: number): void => {
      write(fd, bytes, from, bytes.length - from, position + from, (error, written) => {
        if (error) reject(error);
        else if (from + written < bytes.length) next(from + written);
        else resolve(bytes.length);
      });
    };
    next(0);
  });
}

/** Gives back what a much longer snapshot before this one took. */
async function shrink(file: OpenSlot, length: number): Promise<void> {
  if (file.largest - length < slackBytesMax) return;
  file.largest = length;
  await new Promise<void>((resolve) => { ftruncate(file.fd, length, () => resolve()); });
  await new Promise<void>((resolve) => { fdatasync(file.fd, () => resolve()); });
}

/** So that a new file's name is durable too. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await openFile(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
