import { compareVersions, type Version } from '@remora/core/version';
import { observe, type Histogram } from '@remora/telemetry/histogram';
import type { EnforcementLedger, LedgerEntry } from './enforcement-ledger.ts';
import type { RefusalStatus } from './push-hub.ts';

interface Pending {
  readonly entry: LedgerEntry;
  needsConfig: boolean;
  needsState: boolean;
  readonly openedAtMs: number;
  /** Of an earlier run of the control plane: which lane it needed is not known any more. */
  readonly restored: boolean;
}

const pendingMax = 256;

/** The log entries that one sidecar has still to answer for, oldest first. */
export class PendingEntries {
  readonly #ledger: EnforcementLedger;
  readonly #nodeId: string;
  #pending: Pending[] = [];

  constructor(ledger: EnforcementLedger, nodeId: string) {
    this.#ledger = ledger;
    this.#nodeId = nodeId;
  }

  get size(): number {
    return this.#pending.length;
  }

  /** Beyond 256 the oldest are superseded: nobody waits that long for a stream that does not answer. */
  add(entry: LedgerEntry, needs: { readonly config: boolean; readonly state: boolean }, nowMs: number): void {
    this.#pending = this.#pending.filter((pending) => this.#ledger.keeps(pending.entry));
    this.#pending.push({ entry, needsConfig: needs.config, needsState: needs.state, openedAtMs: nowMs, restored: false });
    const [oldest] = this.#pending;
    if (this.#pending.length <= pendingMax || !oldest) return;
    this.#pending.shift();
    this.#ledger.resolve(oldest.entry, this.#nodeId, 'superseded', nowMs);
  }

  /** An entry that it had not answered for when the control plane ended: answered once it is in sync. */
  restore(entry: LedgerEntry, nowMs: number): void {
    if (this.#pending.length < pendingMax) this.#pending.push({ entry, needsConfig: false, needsState: false, openedAtMs: nowMs, restored: true });
  }

  /** Both lanes have what is desired: what an earlier run left open is in force, or something later. */
  inSync(nowMs: number): void {
    this.#settle(nowMs, null, (pending) => (pending.restored ? 'applied' : null));
  }

  /**
   * An ACK of `version`: it and everything before it is in force. `unchanged`: the content went back to what was in force
   * already, so what lay between was never enforced here.
   */
  configReached(version: Version, kind: 'update' | 'unchanged', nowMs: number, propagation: Histogram): void {
    this.#settle(nowMs, propagation, (pending) => {
      const order = compareVersions(pending.entry.version, version);
      if (order > 0 || !pending.needsConfig) return null;
      pending.needsConfig = false;
      if (order < 0 && kind === 'unchanged') return 'superseded';
      return pending.needsState ? null : 'applied';
    });
  }

  /** A state ACK: all that was wanted before `wantedAtMs` is in force. */
  stateReached(wantedAtMs: number, nowMs: number, propagation: Histogram): void {
    this.#settle(nowMs, propagation, (pending) => {
      if (!pending.needsState || pending.openedAtMs > wantedAtMs) return null;
      pending.needsState = false;
      return pending.needsConfig ? null : 'applied';
    });
  }

  configRefused(version: Version, nowMs: number, refusal: RefusalStatus): void {
    this.#settle(nowMs, null, (pending) => {
      const order = compareVersions(pending.entry.version, version);
      if (order > 0 || !(pending.needsConfig || pending.restored)) return null;
      return order === 0 ? 'refused' : 'superseded';
    }, refusal);
  }

  stateRefused(nowMs: number, refusal: RefusalStatus): void {
    this.#settle(nowMs, null, (pending) => (pending.needsState ? 'refused' : null), refusal);
  }

  /** The stream ended. What is pending stays known: it may be applied after the sidecar comes back. */
  offline(nowMs: number): void {
    for (const { entry } of this.#pending) this.#ledger.resolve(entry, this.#nodeId, 'offline', nowMs);
  }

  #settle(nowMs: number, propagation: Histogram | null, outcomeOf: (pending: Pending) => 'applied' | 'refused' | 'superseded' | null, refusal: RefusalStatus | null = null): void {
    if (this.#pending.length === 0) return;
    this.#pending = this.#pending.filter((pending) => {
      const outcome = outcomeOf(pending);
      if (outcome === null) return true;
      this.#ledger.resolve(pending.entry, this.#nodeId, outcome, nowMs, outcome === 'refused' ? refusal : null);
      if (outcome === 'applied' && propagation) observe(propagation, nowMs - pending.entry.committedMonotonicMs);
      return false;
    });
  }
}
