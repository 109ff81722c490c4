import type { Timer, Timers } from '@remora/core/clock';
import type { Candidate } from '@remora/snapshot/candidate';
import type { SnapshotDisk } from './snapshot-disk.ts';

export interface KeeperStatus {
  /** Whether what is enforced would be found after a restart. */
  readonly persisted: boolean;
  /** What the disk said last, null when it works. */
  readonly alarm: string | null;
}

const stagePatienceMs = 20;

/**
 * Keeps the disk in step with what is enforced. A disk that is slow, fails or hangs delays a swap by 20 ms at most, and an
 * acknowledgement by `patienceMs`; then that says `persisted: false`, and writing is tried again every `retryMs` until it
 * succeeds.
 */
export class SnapshotKeeper {
  readonly #disk: SnapshotDisk;
  readonly #timers: Timers;
  readonly #patienceMs: number;
  readonly #retryMs: number;
  readonly #onStatus: (status: KeeperStatus) => void;
  /** Operations run one after another; of those that wait, only the newest is kept, for it brings all up to date. */
  #running = false;
  #waiting: { readonly run: () => Promise<void>; readonly over: () => void } | null = null;
  #stagedHash = '';
  #enforced: Candidate | null = null;
  #retry: Timer | null = null;
  #status: KeeperStatus = { persisted: false, alarm: null };
  #closed = false;

  constructor(options: { disk: SnapshotDisk; timers: Timers; patienceMs: number; retryMs: number; onStatus: (status: KeeperStatus) => void }) {
    this.#disk = options.disk;
    this.#timers = options.timers;
    this.#patienceMs = options.patienceMs;
    this.#retryMs = options.retryMs;
    this.#onStatus = options.onStatus;
  }

  get status(): KeeperStatus {
    return this.#status;
  }

  /** What was found on disk at the start is enforced. */
  adopt(candidate: Candidate): void {
    this.#enforced = candidate;
    this.#set({ persisted: true, alarm: null });
  }

  /**
   * Writes the candidate beside the generations; resolves when it is durable or has failed, at the latest after 20 ms: a
   * slow disk must not delay enforcement. `promote`, and with it the acknowledgement, waits for the write.
   */
  async stage(candidate: Candidate): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = this.#timers.after(Math.min(stagePatienceMs, this.#patienceMs), () => late.resolve());
    await Promise.race([this.#enqueue(() => this.#write(candidate)), late.promise]);
    timer.cancel();
  }

  /** The staged candidate is enforced now: makes it the newest generation, or tries until it is. True: durable. */
  async promote(candidate: Candidate): Promise<boolean> {
    this.#enforced = candidate;
    this.#set({ ...this.#status, persisted: false });
    await this.#patiently(() => this.#bringDiskUp(candidate));
    return this.#status.persisted && this.#enforced === candidate;
  }

  /** Waits for what is being written, at most `patienceMs`. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    if (this.#running) await this.#patiently(async () => {});
  }

  async #write(candidate: Candidate): Promise<void> {
    this.#stagedHash = '';
    await this.#disk.writeCandidate(candidate);
    this.#stagedHash = candidate.hash;
  }

  async #bringDiskUp(candidate: Candidate): Promise<void> {
    if (this.#enforced !== candidate) return;
    if (this.#stagedHash !== candidate.hash) await this.#write(candidate);
    await this.#disk.markGood(candidate.hash);
    this.#stagedHash = '';
    if (this.#enforced === candidate) this.#set({ persisted: true, alarm: null });
  }

  /** Answers when the operation is done, failed, replaced by a newer one, or late, which becomes the alarm. */
  async #patiently(operation: () => Promise<void>): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = this.#timers.after(this.#patienceMs, () => {
      this.#set({ ...this.#status, alarm: `the disk did not answer within ${this.#patienceMs} ms` });
      late.resolve();
    });
    await Promise.race([this.#enqueue(operation), late.promise]);
    timer.cancel();
  }

  /** Runs it after what runs; a newer one replaces it while it waits. */
  #enqueue(operation: () => Promise<void>): Promise<void> {
    const over = Promise.withResolvers<void>();
    this.#waiting?.over();
    this.#waiting = { run: operation, over: over.resolve };
    if (!this.#running) void this.#run();
    return over.promise;
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let next = this.#waiting; next; next = this.#waiting) {
      this.#waiting = null;
      await next.run().catch((error: unknown) => this.#failed(error instanceof Error ? error.message : String(error)));
      next.over();
    }
    this.#running = false;
    // Bringing the disk up to date may have been replaced by the writing of a candidate that was refused then.
    if (this.#enforced && !this.#status.persisted) this.#retryLater();
  }

  #failed(message: string): void {
    this.#set({ ...this.#status, alarm: message });
    this.#retryLater();
  }

  #retryLater(): void {
    if (this.#retry || this.#closed) return;
    this.#retry = this.#timers.after(this.#retryMs, () => {
      this.#retry = null;
      const enforced = this.#enforced;
      if (enforced && !this.#status.persisted) void this.#patiently(() => this.#bringDiskUp(enforced));
    });
  }

  #set(status: KeeperStatus): void {
    if (status.persisted === this.#status.persisted && status.alarm === this.#status.alarm) return;
    this.#status = status;
    this.#onStatus(status);
  }
}
