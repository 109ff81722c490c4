import type { Candidate } from '@remora/snapshot/candidate';
import type { LoadedSnapshots, SnapshotDisk, StoredEndpoints, StoredNotes } from '../snapshot-disk.ts';

/** A disk in memory whose failures a test chooses: `ok`, `failing`, or `hanging` until it is set back. */
export class MemoryDisk implements SnapshotDisk {
  generations: readonly Candidate[] = [];
  endpoints: StoredEndpoints | null = null;
  notes: StoredNotes | null = null;
  writes: string[] = [];
  #mode: 'ok' | 'failing' | 'hanging' = 'ok';
  #waiting: (() => void)[] = [];
  #candidate: Candidate | null = null;

  set mode(mode: 'ok' | 'failing' | 'hanging') {
    this.#mode = mode;
    for (const resume of this.#waiting.splice(0)) resume();
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  load(): Promise<LoadedSnapshots> {
    return Promise.resolve({ candidates: this.generations, problems: [] });
  }

  writeCandidate(candidate: Candidate): Promise<void> {
    return this.#write(`candidate ${candidate.version.index}`, () => { this.#candidate = candidate; });
  }

  markGood(hash: string): Promise<void> {
    return this.#write('good', () => {
      if (this.#candidate?.hash !== hash) throw new Error('another candidate was written');
      this.generations = [this.#candidate, ...this.generations].slice(0, 2);
    });
  }

  loadEndpoints(): Promise<{ endpoints: StoredEndpoints | null; problem: null }> {
    return Promise.resolve({ endpoints: this.endpoints, problem: null });
  }

  writeEndpoints(endpoints: StoredEndpoints): Promise<void> {
    return this.#write('endpoints', () => { this.endpoints = endpoints; });
  }

  loadNotes(): Promise<{ notes: StoredNotes | null; problem: null }> {
    return Promise.resolve({ notes: this.notes, problem: null });
  }

  writeNotes(notes: StoredNotes): Promise<void> {
    return this.#write('notes', () => { this.notes = notes; });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #write(what: string, apply: () => void): Promise<void> {
    if (this.#mode === 'hanging') await new Promise<void>((resolve) => { this.#waiting.push(resolve); });
    if (this.#mode === 'failing') throw new Error('no space left on device');
    apply();
    this.writes.push(what);
  }
}
