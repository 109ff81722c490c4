/** How much of a set may be ejected; one host always may. */
export const cap = { share: 0.5 } as const;
export const budgetTerms = { ratio: 0.1, minPerSecond: 0.2 } as const;

export interface Choice {
  readonly host: string | null;
  readonly known: boolean;
  readonly usable: boolean;
  readonly usableHosts: number;
  readonly hosts: number;
  readonly others: boolean;
  readonly again: boolean;
  readonly doubted: boolean;
}

/** With fewer usable hosts than this everybody is asked. */
const panicShare = 0.5;

/** The budget looks at whole eighths of a second, and keeps ten seconds of its reserve. */
const budgetWindowMs = 10_000;
const budgetSlackMs = 1_125;
const reserveKeptMs = 10_000;

interface Traffic {
  sent: number[];
  retried: number[];
  /** Calls under way, by their ticket. */
  readonly open: Map<number, number>;
  refusedSinceMs: number | null;
}

/** What holds of decisions about hosts in every caller, whatever hosts, clocks and the control plane do. */
export class CallInvariants {
  readonly violations: string[] = [];
  calls = 0;
  ejections = 0;
  refusals = 0;
  retries = 0;
  readonly #nodes = new Map<string, Traffic>();

  /** A run begins, which knows nothing. */
  started(node: string): void {
    this.#nodes.set(node, { sent: [], retried: [], open: new Map(), refusedSinceMs: null });
  }

  /** Hosts that were out before some calls and after them. */
  ejected(node: string, { hosts, before, after }: { readonly hosts: number; readonly before: number; readonly after: number }): void {
    if (after <= before) return;
    this.ejections += after - before;
    const most = Math.max(1, Math.floor(hosts * cap.share));
    if (after > most) this.violations.push(`${node} has ${after} of ${hosts} hosts ejected, and may have ${most}`);
  }

  ejectedFor(node: string, host: string, leftMs: number, longestMs: number): void {
    if (leftMs > longestMs) this.violations.push(`${node} has ${host} ejected for ${Math.round(leftMs)} ms more, and may for ${longestMs}`);
  }

  /** A balancer was asked for a host. `known`: it is one of the set; `others`: usable ones were not avoided; `doubted`: the set has hosts that are used last. */
  chosen(node: string, { host, known, usable, usableHosts, hosts, others, again, doubted }: Choice): void {
    if (host === null) {
      this.violations.push(`${node} asks nobody of ${hosts} hosts`);
      return;
    }
    if (!known) this.violations.push(`${node} asks ${host}, which is not there any more`);
    if (again && others) this.violations.push(`${node} asks ${host} again, though there are others`);
    // Where half of them are out and more, it may be the caller that is ill: all are asked then.
    if (!usable && !doubted && usableHosts / hosts >= panicShare) this.violations.push(`${node} asks ${host}, which is out, with ${usableHosts} of ${hosts} usable`);
  }

  /** A breaker was asked; null: it refused. */
  admitted(node: string, { ticket, halfOpen, probesMax, nowMs }: { readonly ticket: number | null; readonly halfOpen: boolean; readonly probesMax: number; readonly nowMs: number }): void {
    const traffic = this.#of(node);
    this.calls += 1;
    if (ticket === null) {
      this.refusals += 1;
      traffic.refusedSinceMs ??= nowMs;
      if (nowMs - traffic.refusedSinceMs > refusingMaxMs) this.violations.push(`the breaker of ${node} lets nobody try for ${Math.round(nowMs - traffic.refusedSinceMs)} ms`);
      return;
    }
    traffic.refusedSinceMs = null;
    const open = (traffic.open.get(ticket) ?? 0) + 1;
    traffic.open.set(ticket, open);
    if (halfOpen && open > probesMax) this.violations.push(`the breaker of ${node} has ${open} probes under way, and may have ${probesMax}`);
  }

  ended(node: string, ticket: number): void {
    const { open } = this.#of(node);
    open.set(ticket, (open.get(ticket) ?? 1) - 1);
  }

  sent(node: string, nowMs: number): void {
    const traffic = this.#of(node);
    traffic.sent.push(nowMs);
    if (traffic.sent.length > 2 * keptCalls) traffic.sent = traffic.sent.slice(-keptCalls);
  }

  retried(node: string, nowMs: number): void {
    const traffic = this.#of(node);
    this.retries += 1;
    traffic.retried = [...traffic.retried, nowMs].filter((at) => nowMs - at < budgetWindowMs);
    const sent = traffic.sent.filter((at) => nowMs - at < budgetWindowMs + budgetSlackMs).length;
    const most = sent * budgetTerms.ratio + ((budgetWindowMs + reserveKeptMs) / 1_000) * budgetTerms.minPerSecond + 1;
    if (traffic.retried.length > most) this.violations.push(`${node} retried ${traffic.retried.length} of ${sent} calls in ${budgetWindowMs / 1_000} s, and may ${Math.floor(most)}`);
  }

  #of(node: string): Traffic {
    const traffic = this.#nodes.get(node);
    if (!traffic) throw new Error(`${node} never started`);
    return traffic;
  }
}

/** Of one caller: more than it sends in the window of the budget. */
const keptCalls = 1_000;
/** The longest opening, its jitter and the patience with probes that never end, and some time between calls. */
const refusingMaxMs = 8_000 * 1.2 + 4_000 + 2_000;
