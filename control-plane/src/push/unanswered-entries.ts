import type { EnforcementLedger } from './enforcement-ledger.ts';
import { PendingEntries } from './pending-entries.ts';

const nodesMax = 10_000;

/** Entries that sidecars had not answered for when they went, also before a restart; of the ones that went first they are forgotten first. */
export class UnansweredEntries {
  readonly #ledger: EnforcementLedger;
  readonly #byNode = new Map<string, PendingEntries>();

  constructor(ledger: EnforcementLedger, nowMs: number) {
    this.#ledger = ledger;
    for (const { entry, nodeId } of ledger.unanswered()) {
      const entries = this.take(nodeId);
      entries.restore(entry, nowMs);
      this.keep(nodeId, entries);
    }
  }

  /** Of a sidecar that is gone. */
  keep(nodeId: string, entries: PendingEntries): void {
    this.#byNode.delete(nodeId);
    if (entries.size === 0) return;
    this.#byNode.set(nodeId, entries);
    const oldest = this.#byNode.keys().next();
    if (this.#byNode.size > nodesMax && !oldest.done) this.#byNode.delete(oldest.value);
  }

  /** Of a sidecar that is back: its session has them now. */
  take(nodeId: string): PendingEntries {
    const entries = this.#byNode.get(nodeId) ?? new PendingEntries(this.#ledger, nodeId);
    this.#byNode.delete(nodeId);
    return entries;
  }
}
