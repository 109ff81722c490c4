import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { SubjectKey } from '@remora/core/subject';
import { byUrgency } from './enforcement-ledger.ts';
import type { EnforcementOf, ItemEnforcement, RefusalStatus } from './push-hub.ts';
import type { ItemSet } from './subject-items.ts';

/** One sidecar, as far as a wait looks at it. */
export interface ItemHolder {
  readonly nodeId: string;
  readonly subject: SubjectKey;
  /** What its subject needs now. */
  readonly wanted: ItemSet;
  /** What it acknowledged last; null: not known. */
  readonly held: ItemSet | null;
  /** Whether everything that is wanted in the state lane is in force. */
  readonly hasAll: boolean;
  /** What was wanted before this is in force; monotonic ms. */
  readonly reachedAtMs: number;
  /** Why it did not take what is wanted now; null where it has said nothing against it. */
  readonly refusal: RefusalStatus | null;
}

interface Member {
  readonly subject: SubjectKey;
  outcome: Exclude<EnforcementOf['outcome'], 'superseded'>;
  elapsedMs: number;
  refusal: RefusalStatus | null;
}

interface Wait {
  readonly kind: string;
  readonly startedAtMs: number;
  readonly members: Map<string, Member>;
  readonly settle: () => void;
}

/**
 * Who waits until sidecars have what is wanted now of one kind of item: keys that were made, revoked or expired, values of Secrets, revocations. These are in
 * no revision, so no entry of the log says who enforces them. Beyond `waitsMax` at once, whoever asks is told what is known and waits for nothing.
 */
export class ItemWaits {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #waitsMax: number;
  readonly #waits = new Set<Wait>();

  constructor({ clock, timers, waitsMax }: { readonly clock: Clock; readonly timers: Timers; readonly waitsMax: number }) {
    this.#clock = clock;
    this.#timers = timers;
    this.#waitsMax = waitsMax;
  }

  get size(): number {
    return this.#waits.size;
  }

  /** See PushHub.waitItems. `offline`: those that are out of contact and may still serve with what they had. */
  open(kind: string, holders: Iterable<ItemHolder>, offline: Iterable<{ readonly nodeId: string; readonly subject: SubjectKey }>, timeoutMs: number): Promise<ItemEnforcement> {
    const startedAtMs = this.#clock.monotonicMs();
    const members = new Map<string, Member>();
    for (const { nodeId, subject } of offline) members.set(nodeId, { subject, outcome: 'offline', elapsedMs: 0, refusal: null });
    for (const holder of holders) {
      if (concerns(kind, holder)) members.set(holder.nodeId, { subject: holder.subject, ...verdictOf(kind, holder, null, 0) });
    }
    if (isOver(members) || timeoutMs <= 0 || this.#waits.size >= this.#waitsMax) return Promise.resolve(reportOf(kind, members));
    return new Promise((resolve) => {
      const wait: Wait = {
        kind, startedAtMs, members,
        settle: () => {
          timer.cancel();
          this.#waits.delete(wait);
          resolve(reportOf(kind, members));
        },
      };
      const timer: Timer = this.#timers.after(timeoutMs, wait.settle);
      this.#waits.add(wait);
    });
  }

  /** A sidecar has answered something, or came back. */
  answered(holder: ItemHolder): void {
    for (const wait of this.#waits) {
      const member = wait.members.get(holder.nodeId);
      if (!member || member.outcome === 'applied') continue;
      Object.assign(member, verdictOf(wait.kind, holder, wait.startedAtMs, this.#clock.monotonicMs() - wait.startedAtMs));
      if (isOver(wait.members)) wait.settle();
    }
  }

  /** Its stream is over. `forGood`: it had said that it stops, and enforces nothing any more. */
  gone(nodeId: string, forGood: boolean): void {
    for (const wait of this.#waits) {
      const member = wait.members.get(nodeId);
      if (!member || member.outcome === 'applied') continue;
      if (forGood) wait.members.delete(nodeId);
      else member.outcome = 'offline';
      if (isOver(wait.members)) wait.settle();
    }
  }

  /** Everybody who waits gets what is known now. */
  close(): void {
    for (const wait of this.#waits) wait.settle();
  }
}

/** Whether a set has anything of a kind, known or not. */
export function hasKind(items: ItemSet | null, kind: string): boolean {
  for (const key of items?.keys() ?? []) if (key.startsWith(`${kind}/`)) return true;
  return false;
}

/** Who needs the kind, or has something of it that it should lose. */
function concerns(kind: string, { wanted, held }: ItemHolder): boolean {
  return hasKind(wanted, kind) || hasKind(held, kind);
}

/** `startedAtMs` null: nothing was waited for yet. */
function verdictOf(kind: string, holder: ItemHolder, startedAtMs: number | null, elapsedMs: number): Omit<Member, 'subject'> {
  const reached = holder.hasAll || !lacks(kind, holder) || (startedAtMs !== null && holder.reachedAtMs > startedAtMs);
  if (reached) return { outcome: 'applied', elapsedMs, refusal: null };
  return holder.refusal === null ? { outcome: 'pending', elapsedMs: 0, refusal: null } : { outcome: 'refused', elapsedMs, refusal: holder.refusal };
}

function lacks(kind: string, { wanted, held }: ItemHolder): boolean {
  if (held === null) return true;
  const own = `${kind}/`;
  // Of which nothing is known, everybody keeps what they have.
  if (wanted.get(own) === null) return false;
  for (const [key, item] of wanted) if (key.startsWith(own) && held.get(key)?.hash !== item?.hash) return true;
  for (const key of held.keys()) if (key.startsWith(own) && !wanted.has(key)) return true;
  return false;
}

function isOver(members: ReadonlyMap<string, Member>): boolean {
  let pending = false;
  for (const { outcome } of members.values()) {
    if (outcome === 'refused') return true;
    pending ||= outcome === 'pending';
  }
  return !pending;
}

function reportOf(kind: string, members: ReadonlyMap<string, Member>): ItemEnforcement {
  const counts = { total: members.size, applied: 0, pending: 0, refused: 0, offline: 0 };
  let elapsedMs = 0;
  const sidecars: EnforcementOf[] = [];
  for (const [nodeId, member] of members) {
    counts[member.outcome]++;
    if (member.outcome === 'applied') elapsedMs = Math.max(elapsedMs, member.elapsedMs);
    sidecars.push({ nodeId, ...member });
  }
  sidecars.sort((a, b) => byUrgency.indexOf(a.outcome) - byUrgency.indexOf(b.outcome) || (a.nodeId < b.nodeId ? -1 : 1));
  return { kind, done: counts.pending === 0, counts, sidecars, elapsedMs };
}
