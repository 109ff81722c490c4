import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Subject } from '@remora/core/subject';
import type { Candidate } from '@remora/snapshot/candidate';
import type { DiskProblem, LoadedSnapshots, SnapshotDisk, StoredEndpoints, StoredNotes } from './snapshot-disk.ts';
import { candidateToRecord, encodeRecord, isVersion, readRecord, recordToCandidate, type DiskRecord } from './snapshot-record.ts';

/**
 * Files of one data directory, readable by the owner only. Every write goes to a file beside, is synced, renamed, and the
 * directory synced; so a crash at any moment leaves whole files of one moment or the other.
 */
export class FileSnapshotDisk implements SnapshotDisk {
  readonly #directory: string;
  readonly #subject: Subject;

  constructor(directory: string, subject: Subject) {
    this.#directory = directory;
    this.#subject = subject;
  }

  async load(): Promise<LoadedSnapshots> {
    const candidates: Candidate[] = [];
    const problems: DiskProblem[] = [];
    let newestWrittenMs = 0;
    for (const file of ['snapshot.current', 'snapshot.previous']) {
      const read = await this.#read(file);
      if (read.problem) problems.push(read.problem);
      if (!read.record) continue;
      const candidate = recordToCandidate(read.record);
      const problem = candidate ? this.#checkSubject(file, candidate) : { file, code: 'not-a-snapshot', message: 'the file holds no snapshot' };
      if (problem) problems.push(problem);
      else if (candidate) {
        candidates.push(candidate);
        newestWrittenMs ||= Math.floor((await stat(this.#path(file))).mtimeMs);
      }
    }
    return { candidates, problems, ...(newestWrittenMs > 0 ? { newestWrittenMs } : {}) };
  }

  async writeCandidate(candidate: Candidate): Promise<void> {
    await this.#write('snapshot.candidate', candidateToRecord(candidate), { rename: false });
  }

  async markGood(): Promise<void> {
    // Should the process die between the two, the older generation is there and the newest is not: a good start.
    await rename(this.#path('snapshot.current'), this.#path('snapshot.previous')).catch(ignoreMissing);
    await rename(this.#path('snapshot.candidate'), this.#path('snapshot.current'));
    await this.#syncDirectory();
  }

  async loadEndpoints(): Promise<{ endpoints: StoredEndpoints | null; problem: DiskProblem | null }> {
    const { record, problem } = await this.#read('endpoints.current');
    if (!record) return { endpoints: null, problem };
    const { type, version, hash } = record.header;
    if (type !== 'endpoints' || !isVersion(version) || typeof hash !== 'string') {
      return { endpoints: null, problem: { file: 'endpoints.current', code: 'not-a-snapshot', message: 'the file holds no endpoints' } };
    }
    return { endpoints: { version, hash, sets: record.blobs }, problem: null };
  }

  async writeEndpoints({ version, hash, sets }: StoredEndpoints): Promise<void> {
    await this.#write('endpoints.current', { header: { type: 'endpoints', version, hash }, blobs: sets }, { rename: true });
  }

  async loadNotes(): Promise<{ notes: StoredNotes | null; problem: DiskProblem | null }> {
    const { record, problem } = await this.#read('notes.current');
    if (!record) return { notes: null, problem };
    return { notes: parseNotes(record.header), problem: null };
  }

  async writeNotes(notes: StoredNotes): Promise<void> {
    await this.#write('notes.current', { header: { type: 'notes', ...notes }, blobs: new Map() }, { rename: true });
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
    const read = readRecord(bytes);
    if (read.ok) return { record: read.record, problem: null };
    return { record: null, problem: { file, code: read.code, message: read.message } };
  }

  async #write(file: string, record: DiskRecord, options: { readonly rename: boolean }): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const target = this.#path(file);
    const path = options.rename ? `${target}.new` : target;
    const handle = await open(path, 'w', 0o600);
    try {
      for (const pieces of batches(encodeRecord(record))) await writeAll(handle, pieces);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (!options.rename) return;
    await rename(path, target);
    await this.#syncDirectory();
  }

  async #syncDirectory(): Promise<void> {
    const handle = await open(this.#directory, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  #checkSubject(file: string, { subject }: Candidate): DiskProblem | null {
    if (subject.kind === this.#subject.kind && subject.name === this.#subject.name) return null;
    return { file, code: 'wrong-subject', message: `the file is for ${subject.kind} ${subject.name}, this sidecar runs for ${this.#subject.kind} ${this.#subject.name}` };
  }

  #path(file: string): string {
    return join(this.#directory, file);
  }
}

const batchBytes = 1_048_576;

/** Small pieces together: one system call per megabyte, not per resource. */
function* batches(pieces: Iterable<Uint8Array>): Generator<Uint8Array[], void, void> {
  let batch: Uint8Array[] = [];
  let size = 0;
  for (const piece of pieces) {
    batch.push(piece);
    size += piece.length;
    if (size < batchBytes) continue;
    yield batch;
    batch = [];
    size = 0;
  }
  if (batch.length > 0) yield batch;
}

async function writeAll(handle: Awaited<ReturnType<typeof open>>, pieces: readonly Uint8Array[]): Promise<void> {
  const whole = Buffer.concat(pieces);
  for (let at = 0; at < whole.length; ) at += (await handle.write(whole, at)).bytesWritten;
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
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
