import type { Timer, Timers } from '@remora/core/clock';
import type { AuditNote } from './audit-entry.ts';
import type { AuditStore } from './audit-store.ts';

/** Who did what: how every part of the control plane writes it down. */
export interface AuditLog {
  /** Resolves when it is on the disk: what is answered only then. Rejects with StoreError where the disk refuses. */
  append(note: AuditNote): Promise<void>;
  /** Written within a second; what nobody waits for. Bounded: beyond, notes are counted only, and the count is written. */
  later(note: AuditNote): void;
  /** Notes that wait. */
  waiting(): number;
  /** Notes that were counted only. */
  dropped(): number;
  /** Writes that the disk refused. */
  failures(): number;
  /** Writes what waits. Throws StoreError. */
  flush(): void;
  close(): void;
}

const waitingMax = 1_000;
const laterMs = 1_000;

export interface AuditLogDeps {
  readonly store: AuditStore;
  readonly timers: Timers;
  readonly soon: (run: () => void) => void;
  readonly alarm: (error: unknown) => void;
}

export function createAuditLog(deps: AuditLogDeps): AuditLog {
  return new GroupedAuditLog(deps);
}

/** Notes that come in one turn share one flush of the disk. */
class GroupedAuditLog implements AuditLog {
  readonly #deps: AuditLogDeps;
  #pending: AuditNote[] = [];
  #next: Promise<void> | null = null;
  #timer: Timer | null = null;
  #dropped = 0;
  #droppedUntold = 0;
  #failures = 0;
  #closed = false;

  constructor(deps: AuditLogDeps) {
    this.#deps = deps;
  }

  append(note: AuditNote): Promise<void> {
    this.#pending.push(note);
    this.#next ??= new Promise((resolve, reject) => {
      this.#deps.soon(() => {
        this.#next = null;
        try {
          this.flush();
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    });
    return this.#next;
  }

  later(note: AuditNote): void {
    if (this.#pending.length >= waitingMax) {
      this.#dropped += 1;
      this.#droppedUntold += 1;
      return;
    }
    this.#pending.push(note);
    this.#schedule();
  }

  waiting(): number {
    return this.#pending.length;
  }

  dropped(): number {
    return this.#dropped;
  }

  failures(): number {
    return this.#failures;
  }

  flush(): void {
    if (this.#pending.length === 0) return;
    const notes = this.#pending;
    const dropped = this.#droppedUntold;
    if (dropped > 0) notes.push({ action: 'audit.dropped', actor: { kind: 'system' }, outcome: 'failed', what: { notes: dropped } });
    this.#pending = [];
    this.#droppedUntold = 0;
    try {
      this.#deps.store.append(notes);
    } catch (error) {
      // They stay for the next try: whoever waits for one of them is told that it failed, and may see it written later.
      this.#failures += 1;
      this.#droppedUntold = dropped;
      this.#pending = (dropped > 0 ? notes.slice(0, -1) : notes).slice(0, waitingMax);
      this.#schedule();
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = null;
    try {
      this.flush();
    } catch (error) {
      this.#deps.alarm(error);
    }
  }

  #schedule(): void {
    if (this.#timer || this.#closed) return;
    this.#timer = this.#deps.timers.after(laterMs, () => {
      this.#timer = null;
      try {
        this.flush();
      } catch (error) {
        this.#deps.alarm(error);
      }
    });
  }
}
