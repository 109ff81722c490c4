import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@remora/core/clock';
import type { Subject } from '@remora/core/subject';
import type { Candidate } from '@remora/snapshot/candidate';
import type { DiskKey } from './disk-key.ts';
import type { DiskProblem, LoadedSnapshots, SnapshotDisk, StoredEndpoints, StoredNotes } from './snapshot-disk.ts';
import { encodeRecord, isInTheOpen, isVersion, readRecord, type DiskRecord } from './snapshot-record.ts';
import { SnapshotSlots, syncDirectory } from './snapshot-slots.ts';

/**
 * Snapshots, endpoints and notes in a directory that is readable by its owner only. Snapshots stand in three slots (snapshot-slots.ts), for each edit writes
 * them. What is written at most once a second goes to a file beside, is synced, renamed, and the directory synced; so a crash at any moment leaves
 * whole files of one moment or the other.
 */
export class FileSnapshotDisk implements SnapshotDisk {
  readonly #directory: string;
  readonly #subject: Subject;
  readonly #slots: SnapshotSlots;
  readonly #key: DiskKey | null;

  /** `key`: everything is encrypted with it; null: in the open, readable by its owner only. */
  constructor(directory: string, subject: Subject, clock: Pick<Clock, 'monotonicMs'>, key: DiskKey | null = null) {
    this.#directory = directory;
    this.#subject = subject;
    this.#key = key;
    this.#slots = new SnapshotSlots(directory, clock, key);
  }

  async load(): Promise<LoadedSnapshots> {
    const { found, problems } = await this.#slots.load();
    const ours = found.filter(({ candidate }) => this.#isOurs(candidate));
    const foreign = found.filter(({ candidate }) => !this.#isOurs(candidate));
    const [newest] = ours;
    // A disk that refuses keeps what it has; the next snapshot is encrypted in any case.
    if (newest) await this.#slots.seal(newest.candidate).catch(() => false);
    return {
      candidates: ours.map(({ candidate }) => candidate),
      problems: [...problems, ...foreign.map(({ file, candidate: { subject } }): DiskProblem => ({
        file, code: 'wrong-subject', message: `the file is for ${subject.kind} ${subject.name}, this sidecar runs for ${this.#subject.kind} ${this.#subject.name}`,
      }))],
      ...(newest && { newestWrittenMs: newest.writtenMs }),
    };
  }

  writeCandidate(candidate: Candidate): Promise<void> {
    return this.#slots.write(candidate);
  }

  markGood(): Promise<void> {
    return this.#slots.mark();
  }

  close(): Promise<void> {
    return this.#slots.close();
  }

  async loadEndpoints(): Promise<{ endpoints: StoredEndpoints | null; problem: DiskProblem | null }> {
    const { record, problem } = await this.#read('endpoints.current');
    if (!record) return { endpoints: null, problem };
    const { type, version, hash } = record.header;
    if (type !== 'endpoints' || !isVersion(version) || typeof hash !== 'string') {
      return { endpoints: null, problem: { file: 'endpoints.current', code: 'not-a-snapshot', message: 'the file holds no endpoints' } };
    }
    return { endpoints: { version, hash, ...takeApart(record.blobs) }, problem: null };
  }

  async writeEndpoints({ version, hash, sets, items }: StoredEndpoints): Promise<void> {
    const blobs = new Map(sets);
    for (const [key, body] of items) blobs.set(`${itemPrefix}${key}`, body);
    await this.#write('endpoints.current', { header: { type: 'endpoints', version, hash }, blobs });
  }

  async loadNotes(): Promise<{ notes: StoredNotes | null; problem: DiskProblem | null }> {
    const { record, problem } = await this.#read('notes.current');
    if (!record) return { notes: null, problem };
    return { notes: parseNotes(record.header), problem: null };
  }

  async writeNotes(notes: StoredNotes): Promise<void> {
    await this.#write('notes.current', { header: { type: 'notes', ...notes }, blobs: new Map() });
  }

  async #read(file: string): Promise<{ record: DiskRecord | null; problem: DiskProblem | null }> {
    let bytes: Buffer;
    try {
      bytes = await readFile(this.#path(file));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return { record: null, problem: null };
      return { record: null, problem: { file, code: 'unreadable', message } };
    }
    const read = readRecord(bytes, this.#key);
    if (read.ok) {
      if (this.#key !== null && isInTheOpen(bytes)) await this.#write(file, read.record).catch(() => {});
      return { record: read.record, problem: null };
    }
    return { record: null, problem: { file, code: read.code, message: read.message } };
  }

  /** Whole or not at all, and durable when it resolves. */
  async #write(file: string, record: DiskRecord): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const path = this.#path(file);
    const handle = await open(`${path}.new`, 'w', 0o600);
    try {
      for (const piece of encodeRecord(record, this.#key).pieces) for (let at = 0; at < piece.length;) at += (await handle.write(piece, at)).bytesWritten;
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(`${path}.new`, path);
    await syncDirectory(this.#directory);
  }

  #isOurs({ subject }: Candidate): boolean {
    return subject.kind === this.#subject.kind && subject.name === this.#subject.name;
  }

  #path(file: string): string {
    return join(this.#directory, file);
  }
}

/** Of blobs that are items; names of services have no colon. */
const itemPrefix = 'item:';

/** Files of builds that had no items have sets only. */
function takeApart(blobs: DiskRecord['blobs']): Pick<StoredEndpoints, 'sets' | 'items'> {
  const sets = new Map<string, Uint8Array>();
  const items = new Map<string, Uint8Array>();
  for (const [name, bytes] of blobs) {
    if (name.startsWith(itemPrefix)) items.set(name.slice(itemPrefix.length), bytes);
    else sets.set(name, bytes);
  }
  return { sets, items };
}

function parseNotes(header: Readonly<Record<string, unknown>>): StoredNotes | null {
  const { type, incarnation, lastContactMs, label, refused } = header as { type?: unknown } & Partial<StoredNotes>;
  if (type !== 'notes' || !Number.isSafeInteger(lastContactMs) || !Array.isArray(refused)) return null;
  return {
    incarnation: Number.isSafeInteger(incarnation) ? (incarnation ?? 0) : 0,
    lastContactMs: lastContactMs ?? 0,
    label: label && typeof label.hash === 'string' && isVersion(label.version) ? label : null,
    refused: refused.filter((item): item is StoredNotes['refused'][number] => typeof item?.hash === 'string' && typeof item?.build === 'string'),
  };
}
