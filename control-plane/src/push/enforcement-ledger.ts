import type { Clock, Timers } from '@remora/core/clock';
import type { SubjectKey } from '@remora/core/subject';
import { noVersion, type Version } from '@remora/core/version';
import { entryOfRecord, recordOfEntry } from './enforcement-record.ts';
import type { Enforcement, EnforcementCounts, EnforcementOf, RefusalStatus } from './push-hub.ts';
import type { RecordStore, RecordWriter, WrittenRecords } from './record-writer.ts';

/** One log entry's sidecars: how many were fixed at commit, what became of them, and the ones that are known by name. */
export interface LedgerEntry {
  readonly version: Version;
  /** Since when propagation is measured; of another run of this process worked out from the wall clock. */
  readonly committedMonotonicMs: number;
  readonly committedWallMs: number;
  readonly counts: Record<keyof EnforcementCounts, number>;
  /** From commit to the last that applied. */
  elapsedMs: number;
  /** All, or what is left of them: see EnforcementLedger. */
  readonly members: Map<string, Member>;
}

export interface Member {
  readonly subject: SubjectKey;
  outcome: EnforcementOf['outcome'];
  elapsedMs: number;
  refusal: RefusalStatus | null;
}

interface Waiter {
  readonly settle: () => void;
}

const namespace = 'enforcement';
/** Outcomes in the order in which somebody has to look at them. */
export const byUrgency = ['refused', 'pending', 'offline', 'superseded', 'applied'] as const satisfies readonly EnforcementOf['outcome'][];

/**
 * What each log entry's sidecars did with it, also over restarts: the newest `entriesMax` entries. Counts are always whole.
 * Sidecars are known by name while at most `membersMax` are over all entries; beyond, those that applied an entry become a
 * number, the oldest entry first, and then the others that are not pending. The disk has counts, and names of those that
 * did not apply it.
 */
export class EnforcementLedger {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #entriesMax: number;
  readonly #membersMax: number;
  readonly #written: WrittenRecords;
  /** By index, oldest first. */
  readonly #entries = new Map<number, LedgerEntry>();
  readonly #waiters = new Map<number, Set<Waiter>>();
  #members = 0;
  #closed = false;
  /** Called once per entry, when nothing of it is pending any more, or at its first refusal. */
  onSettled: (entry: LedgerEntry, outcome: 'enforced' | 'refused') => void = () => {};

  constructor(deps: { readonly clock: Clock; readonly timers: Timers; readonly store: RecordStore; readonly writer: RecordWriter; readonly entriesMax: number; readonly membersMax: number }) {
    this.#clock = deps.clock;
    this.#timers = deps.timers;
    this.#entriesMax = deps.entriesMax;
    this.#membersMax = deps.membersMax;
    this.#written = deps.writer.records(namespace, (key) => this.#record(Number(key)));
    this.#load(deps.store);
  }

  open(version: Version, committedMonotonicMs: number, members: ReadonlyMap<string, SubjectKey>): LedgerEntry {
    const entry: LedgerEntry = {
      version, committedMonotonicMs, committedWallMs: this.#clock.wallMs() - (this.#clock.monotonicMs() - committedMonotonicMs),
      counts: { total: members.size, applied: 0, pending: members.size, refused: 0, offline: 0, superseded: 0 }, elapsedMs: 0, members: new Map(),
    };
    for (const [nodeId, subject] of members) entry.members.set(nodeId, { subject, outcome: 'pending', elapsedMs: 0, refusal: null });
    this.#add(entry);
    this.#written.put(String(version.index));
    this.#evict();
    if (members.size === 0) this.#wake(version.index);
    return entry;
  }

  /** The first word of a sidecar counts, except that one that refused may apply it later. Being offline is not a word. */
  resolve(entry: LedgerEntry, nodeId: string, outcome: Exclude<EnforcementOf['outcome'], 'pending'>, nowMs: number, refusal: RefusalStatus | null = null): void {
    const member = entry.members.get(nodeId);
    if (!member || member.outcome === outcome) return;
    const said = member.outcome === 'refused' || member.outcome === 'superseded' || member.outcome === 'applied';
    if (said && outcome !== 'applied') return;
    const { counts } = entry;
    const wasPending = member.outcome === 'pending';
    counts[member.outcome]--;
    counts[outcome]++;
    const refusedNow = outcome === 'refused' && counts.refused === 1;
    member.outcome = outcome;
    member.elapsedMs = Math.max(0, nowMs - entry.committedMonotonicMs);
    member.refusal = refusal;
    if (outcome === 'applied') entry.elapsedMs = Math.max(entry.elapsedMs, member.elapsedMs);
    const settled = wasPending && counts.pending === 0;
    if (outcome !== 'applied' || !wasPending || settled) this.#written.put(String(entry.version.index));
    if (refusedNow) this.onSettled(entry, 'refused');
    else if (settled && counts.refused === 0) this.onSettled(entry, 'enforced');
    if (counts.pending === 0 || refusedNow) this.#wake(entry.version.index);
  }

  /** Whether it is still part of the history. */
  keeps(entry: LedgerEntry): boolean {
    return this.#entries.get(entry.version.index) === entry;
  }

  /** Entries of an earlier run that sidecars may still come back to apply, oldest first. */
  *unanswered(): Generator<{ readonly entry: LedgerEntry; readonly nodeId: string }, void> {
    for (const entry of this.#entries.values()) {
      if (entry.counts.offline === 0) continue;
      for (const [nodeId, { outcome }] of entry.members) if (outcome === 'offline') yield { entry, nodeId };
    }
  }

  get(index: number): Enforcement | null {
    const entry = this.#entries.get(index);
    return entry ? reportOf(entry) : null;
  }

  /** See PushHub.waitApplied. An entry that is not published within the timeout answers with no sidecars and not done. */
  wait(index: number, timeoutMs: number): Promise<Enforcement> {
    const known = this.#entries.get(index);
    if (this.#closed || (known && (known.counts.pending === 0 || known.counts.refused > 0))) return Promise.resolve(this.#answer(index));
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
    const none = { total: 0, applied: 0, pending: 0, refused: 0, offline: 0, superseded: 0 };
    return this.get(index) ?? { version: { ...noVersion, index }, done: false, counts: none, sidecars: [], complete: true, elapsedMs: 0 };
  }

  #wake(index: number): void {
    for (const waiter of this.#waiters.get(index) ?? []) waiter.settle();
  }

  #add(entry: LedgerEntry): void {
    const { index } = entry.version;
    this.#members += entry.members.size - (this.#entries.get(index)?.members.size ?? 0);
    this.#entries.delete(index);
    this.#entries.set(index, entry);
  }

  #load(store: RecordStore): void {
    const { wallMs, monotonicMs } = { wallMs: this.#clock.wallMs(), monotonicMs: this.#clock.monotonicMs() };
    const entries = [...store.records(namespace).values()].map((record) => entryOfRecord(record, { wallMs, monotonicMs })).filter((entry) => entry !== null);
    for (const entry of entries.sort((a, b) => a.version.index - b.version.index)) this.#add(entry);
    this.#evict();
  }

  #record(index: number): ReturnType<typeof recordOfEntry> | null {
    const entry = this.#entries.get(index);
    return entry ? recordOfEntry(entry) : null;
  }

  #evict(): void {
    for (const [index, entry] of this.#entries) {
      if (this.#entries.size <= this.#entriesMax || this.#entries.size === 1) break;
      this.#entries.delete(index);
      this.#members -= entry.members.size;
      this.#written.put(String(index));
      this.#wake(index);
    }
    if (this.#members > this.#membersMax) this.#forgetNames((outcome) => outcome === 'applied');
    if (this.#members > this.#membersMax) this.#forgetNames((outcome) => outcome !== 'pending');
  }

  #forgetNames(goes: (outcome: EnforcementOf['outcome']) => boolean): void {
    for (const { members } of this.#entries.values()) {
      if (this.#members <= this.#membersMax) return;
      const before = members.size;
      for (const [nodeId, { outcome }] of members) if (goes(outcome)) members.delete(nodeId);
      this.#members -= before - members.size;
    }
  }
}

function reportOf({ version, counts, members, elapsedMs }: LedgerEntry): Enforcement {
  const groups: Record<EnforcementOf['outcome'], EnforcementOf[]> = { refused: [], pending: [], offline: [], superseded: [], applied: [] };
  for (const [nodeId, { subject, outcome, elapsedMs: after, refusal }] of members) groups[outcome].push({ nodeId, subject, outcome, elapsedMs: after, refusal });
  const sidecars = byUrgency.flatMap((outcome) => groups[outcome].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1)));
  return { version, done: counts.pending === 0, counts: { ...counts }, sidecars, complete: sidecars.length === counts.total, elapsedMs };
}
