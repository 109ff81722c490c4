import type { Timers } from '@remora/core/clock';
import type { SubjectKey } from '@remora/core/subject';
import { noVersion, type Version } from '@remora/core/version';
import type { Enforcement, EnforcementOf, RefusalStatus } from './push-hub.ts';

/** One log entry's sidecars: the set fixed at commit, and what became of each. */
export interface LedgerEntry {
  readonly version: Version;
  readonly committedMonotonicMs: number;
  readonly members: Map<string, Member>;
  pending: number;
  refused: number;
}

interface Member {
  readonly subject: SubjectKey;
  outcome: EnforcementOf['outcome'];
  elapsedMs: number;
  refusal: RefusalStatus | null;
}

interface Waiter {
  readonly settle: () => void;
}

/** Bounded history of what each log entry's sidecars did with it. */
export class EnforcementLedger {
  readonly #timers: Timers;
  readonly #entriesMax: number;
  readonly #membersMax: number;
  readonly #entries = new Map<number, LedgerEntry>();
  readonly #waiters = new Map<number, Set<Waiter>>();
  #members = 0;
  #closed = false;
  /** Called once per entry, when nothing of it is pending any more, or at its first refusal. */
  onSettled: (entry: LedgerEntry, outcome: 'enforced' | 'refused') => void = () => {};

  constructor(deps: { readonly timers: Timers; readonly entriesMax: number; readonly membersMax: number }) {
    this.#timers = deps.timers;
    this.#entriesMax = deps.entriesMax;
    this.#membersMax = deps.membersMax;
  }

  open(version: Version, committedMonotonicMs: number, members: ReadonlyMap<string, SubjectKey>): LedgerEntry {
    const entry: LedgerEntry = { version, committedMonotonicMs, members: new Map(), pending: members.size, refused: 0 };
    for (const [nodeId, subject] of members) entry.members.set(nodeId, { subject, outcome: 'pending', elapsedMs: 0, refusal: null });
    this.#members += members.size - (this.#entries.get(version.index)?.members.size ?? 0);
    this.#entries.delete(version.index);
    this.#entries.set(version.index, entry);
    this.#evict();
    if (members.size === 0) this.#wake(version.index);
    return entry;
  }

  /** The first word counts, except that an offline or refusing sidecar may apply it later. */
  resolve(entry: LedgerEntry, nodeId: string, outcome: Exclude<EnforcementOf['outcome'], 'pending'>, nowMs: number, refusal: RefusalStatus | null = null): void {
    const member = entry.members.get(nodeId);
    if (!member || member.outcome === outcome || (member.outcome !== 'pending' && outcome !== 'applied')) return;
    const wasPending = member.outcome === 'pending';
    if (wasPending) entry.pending--;
    const firstRefusal = outcome === 'refused' && entry.refused++ === 0;
    member.outcome = outcome;
    member.elapsedMs = Math.max(0, nowMs - entry.committedMonotonicMs);
    member.refusal = refusal;
    if (firstRefusal) this.onSettled(entry, 'refused');
    else if (wasPending && entry.pending === 0 && entry.refused === 0) this.onSettled(entry, 'enforced');
    if (entry.pending === 0 || firstRefusal) this.#wake(entry.version.index);
  }

  /** Whether it is still part of the history. */
  keeps(entry: LedgerEntry): boolean {
    return this.#entries.get(entry.version.index) === entry;
  }

  get(index: number): Enforcement | null {
    const entry = this.#entries.get(index);
    return entry ? reportOf(entry) : null;
  }

  /** See PushHub.waitApplied. An entry that is not published within the timeout answers with no sidecars and not done. */
  wait(index: number, timeoutMs: number): Promise<Enforcement> {
    const known = this.#entries.get(index);
    if (this.#closed || (known && (known.pending === 0 || known.refused > 0))) return Promise.resolve(this.#answer(index));
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(index) ?? new Set();
      const waiter: Waiter = {
        settle: () => {
          timer.cancel();
          waiters.delete(waiter);
          if (waiters.size === 0) this.#waiters.delete(index);
          resolve(this.#answer(index));
        },
      };
      const timer = this.#timers.after(timeoutMs, waiter.settle);
      waiters.add(waiter);
      this.#waiters.set(index, waiters);
    });
  }

  /** Everybody who waits gets what is known now. */
  close(): void {
    this.#closed = true;
    for (const index of this.#waiters.keys()) this.#wake(index);
  }

  #answer(index: number): Enforcement {
    return this.get(index) ?? { version: { ...noVersion, index }, done: false, sidecars: [], elapsedMs: 0 };
  }

  #wake(index: number): void {
    for (const waiter of this.#waiters.get(index) ?? []) waiter.settle();
  }

  #evict(): void {
    for (const [index, entry] of this.#entries) {
      const fits = this.#entries.size <= this.#entriesMax && this.#members <= this.#membersMax;
      if (fits || this.#entries.size === 1) return;
      this.#entries.delete(index);
      this.#members -= entry.members.size;
      this.#wake(index);
    }
  }
}

function reportOf(entry: LedgerEntry): Enforcement {
  const sidecars: EnforcementOf[] = [];
  let elapsedMs = 0;
  for (const [nodeId, member] of entry.members) {
    sidecars.push({ nodeId, subject: member.subject, outcome: member.outcome, elapsedMs: member.elapsedMs, refusal: member.refusal });
    if (member.outcome === 'applied') elapsedMs = Math.max(elapsedMs, member.elapsedMs);
  }
  return { version: entry.version, done: entry.pending === 0, sidecars, elapsedMs };
}
