import type { Timer, Timers } from '@remora/core/clock';
import type { SecretBook } from './secret-book.ts';
import { SecretError } from './secret-error.ts';
import type { SecretSources } from './secret-sources.ts';
import type { SecretSource, SecretStatus } from './secret.ts';

/** Sources asked at once. */
const concurrency = 8;

export interface SecretRefresherDeps {
  readonly book: SecretBook;
  readonly sources: SecretSources;
  readonly timers: Timers;
  readonly everyMs: number;
  readonly alarm: (error: unknown) => void;
}

/** Reads Secrets again from where they come, at intervals. What does not answer keeps its last good value, and the list says why. */
export class SecretRefresher {
  readonly #deps: SecretRefresherDeps;
  readonly #abort = new AbortController();
  #timer: Timer | null = null;
  #running: Promise<void> | null = null;

  constructor(deps: SecretRefresherDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#timer ??= this.#deps.timers.every(this.#deps.everyMs, () => void this.refresh());
  }

  /** One round over all; a round that runs is waited for, and none is begun beside it. */
  refresh(): Promise<void> {
    this.#running ??= this.#round().catch(this.#deps.alarm).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** The first reading of a source: whoever sets the Secret is told where it fails. Throws SecretError. */
  async set(name: string, source: Exclude<SecretSource, { kind: 'literal' }>, author: string): Promise<SecretStatus> {
    return this.#deps.book.set({ name, source, author, value: await this.#deps.sources.read(source, this.#abort.signal) });
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#abort.abort();
    await this.#running;
  }

  async #round(): Promise<void> {
    const waiting = this.#deps.book.list().filter(({ source }) => source.kind !== 'literal');
    const worker = async (): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined && !this.#abort.signal.aborted; next = waiting.pop()) await this.#one(next);
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, waiting.length) }, worker));
  }

  async #one({ name, source, version, author }: SecretStatus): Promise<void> {
    if (source.kind === 'literal') return;
    const { book, sources, alarm } = this.#deps;
    try {
      const value = await sources.read(source, this.#abort.signal);
      // Set by somebody else meanwhile: theirs is newer.
      if (book.find(name)?.version === version) book.set({ name, source, author, value });
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      book.failed(name, error instanceof SecretError ? error.message : 'could not be kept');
      if (!(error instanceof SecretError)) alarm(error);
    }
  }
}
