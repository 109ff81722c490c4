import { open } from 'node:fs/promises';
import path from 'node:path';
import type { Timer, Timers } from '@remora/core/clock';
import type { DiscoverySource, Following, SourceObserver, SourceTarget } from '../discovery-source.ts';
import { readEndpointFile } from './endpoint-file.ts';

export interface FileSourceDeps {
  /** The only folder whose files are read. */
  readonly folder: string;
  readonly timers: Timers;
  /** How often files are looked at; default 1 s. */
  readonly everyMs?: number;
}

const bytesMax = 8 * 1024 * 1024;

/**
 * Instances from YAML or JSON files. They are looked at every second, not watched: watches lose files that are replaced by others, and see nothing on some file systems.
 * A file that cannot be read, or says what cannot be, is a failure: what the last good one said holds.
 */
export function createFileSource(deps: FileSourceDeps): DiscoverySource {
  const all = new Set<FileFollowing>();
  return {
    kind: 'file',
    follow(target, observer) {
      const following = new FileFollowing(target, observer, deps, () => void all.delete(following));
      all.add(following);
      void following.look();
      return following;
    },
    close() {
      for (const following of all) following.close();
    },
  };
}

class FileFollowing implements Following {
  readonly #target: SourceTarget;
  readonly #observer: SourceObserver;
  readonly #deps: FileSourceDeps;
  readonly #closed: () => void;
  readonly #path: string;
  #timer: Timer | null = null;
  #over = false;
  /** Of the file read last: size, times and inode. */
  #mark = '';
  #last: { readonly report: () => void } | null = null;

  constructor(target: SourceTarget, observer: SourceObserver, deps: FileSourceDeps, closed: () => void) {
    this.#target = target;
    this.#observer = observer;
    this.#deps = deps;
    this.#closed = closed;
    this.#path = path.join(deps.folder, target.discovery.file?.path ?? `${target.service}.yaml`);
  }

  close(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#closed();
  }

  async look(): Promise<void> {
    const report = await this.#read();
    if (this.#over) return;
    report();
    this.#timer = this.#deps.timers.after(this.#deps.everyMs ?? 1_000, () => void this.look());
  }

  /** What to tell, the same as last time where the file is the same. */
  async #read(): Promise<() => void> {
    try {
      await using file = await open(this.#path, 'r');
      const { size, mtimeMs, ctimeMs, ino, dev } = await file.stat();
      const mark = `${size} ${mtimeMs} ${ctimeMs} ${ino} ${dev}`;
      if (this.#last && mark === this.#mark) return this.#last.report;
      if (size > bytesMax) return this.#failure(`has ${size} bytes, at most ${bytesMax} are read`);
      const report = this.#take(await file.readFile('utf8'));
      // A file that is being written may have changed since it was looked at: then its mark is another one the next time.
      this.#mark = mark;
      this.#last = { report };
      return report;
    } catch (error) {
      this.#last = null;
      return this.#failure(`cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`);
    }
  }

  #take(text: string): () => void {
    const read = readEndpointFile(text, this.#target);
    return read.ok ? () => this.#observer.answered(read.instances, []) : this.#failure(read.message);
  }

  #failure(message: string): () => void {
    return () => this.#observer.failed(`${this.#path}: ${message}`);
  }
}
