import { reasons, type Reason } from '@remora/errors/reason';
import type { Call } from '@remora/policy-kit/exchange';
import { noSlot } from '@remora/policy-kit/host-states';
import type { Host, HostSet, HostWatch } from '@remora/policy-kit/hosts';
import type { FilterContext, SharedMemory } from '@remora/policy-kit/runtime-kind';
import { outcomeOf, outcomes, type AttemptOutcome } from './attempt-outcome.ts';
import { findOutliers } from './compare-hosts.ts';
import { ejectionMs } from './ejection-time.ts';
import { consecutiveRows, HostRows, type ConsecutiveRow } from './host-rows.ts';
import type { OutlierDetectionSettings } from './wire.ts';

/** Whatever decided, as events have it. */
interface Verdict {
  readonly pointer: string;
  readonly detail: string;
}

/**
 * Counts how attempts end at hosts, and ejects those that fail. Failures in a row are judged at once, by the thread that sees the last of them; shares of
 * an interval by the first thread that sees an attempt end in the next one. All threads see an ejection with the next choice they make.
 */
export class OutlierWatch implements HostWatch {
  readonly #settings: OutlierDetectionSettings;
  readonly #context: FilterContext;
  readonly #memory: SharedMemory;
  readonly #measuresShares: boolean;
  readonly #capped: () => void;
  #rows: HostRows | null = null;
  /** The host that an attempt ended at last, as its row is marked: nearly always the next one's too, or one of few. */
  #marked: Host | null = null;
  #markedSince = 0;
  #mark = 0;
  /** The interval that this thread has seen begin, by the slot that says so, and when it ends. */
  #lookedSlot = noSlot;
  #lookedUntil = 0;
  /** The connection event counted last, in this thread. */
  #lastBroken: Host | null = null;
  #lastBrokenAt = 0;

  constructor(settings: OutlierDetectionSettings, context: FilterContext, memory: SharedMemory) {
    this.#settings = settings;
    this.#context = context;
    this.#memory = memory;
    this.#measuresShares = settings.successRate.deviations > 0 || settings.failurePercentage.threshold > 0;
    this.#capped = context.counter('outlierDetection_capped');
  }

  answered(call: Call, host: Host, status: number, grpcStatus: number, _latencyMs: number): void {
    this.#ended(call.hosts, host, outcomeOf(status, grpcStatus));
  }

  /**
   * A bound of our own says nothing of the host, nor does a limit of time that ended before it had a connection. Calls that one event fails together (they waited
   * for a host that refuses, or shared the connection that broke) count once. A connection that has served before and breaks before the answer is mostly the
   * race between a server that closes and a client that writes: it counts towards ejection, and never is what ejects.
   */
  failed(call: Call, host: Host, reason: Reason, sent: boolean): void {
    if (!sent && !isConnectFailure(reason)) return;
    const stale = sent && call.reused && reason === reasons.upstreamReset;
    if ((!sent || stale) && this.#isSameEvent(host)) return;
    this.#ended(call.hosts, host, stale ? outcomes.staleConnection : outcomes.localFailure);
  }

  #isSameEvent(host: Host): boolean {
    const nowMs = this.#context.clock.monotonicMs();
    const same = this.#lastBroken === host && nowMs - this.#lastBrokenAt < eventMs;
    if (!same) {
      this.#lastBroken = host;
      this.#lastBrokenAt = nowMs;
    }
    return same;
  }

  #ended(hosts: HostSet | null, host: Host, outcome: AttemptOutcome): void {
    if (hosts === null || host.slot === noSlot) return;
    const { slot } = host;
    const rows = (this.#rows ??= new HostRows(this.#memory.buffer));
    rows.claim(slot, this.#markOf(host));
    const nowMs = this.#context.clock.monotonicMs();
    this.#lookAround(rows, hosts, nowMs);
    if (outcome === outcomes.staleConnection) {
      this.#stale(rows, slot);
      return;
    }
    if (this.#measuresShares) rows.count(slot, outcome === outcomes.success);
    if (outcome === outcomes.success) {
      rows.restart(slot, consecutiveRows.serverErrors);
      rows.restart(slot, consecutiveRows.gatewayErrors);
      rows.restart(slot, consecutiveRows.localFailures);
    } else this.#failed(rows, hosts, host, outcome, nowMs);
  }

  #failed(rows: HostRows, hosts: HostSet, host: Host, outcome: AttemptOutcome, nowMs: number): void {
    const { consecutive5xx, consecutiveGatewayErrors, consecutiveLocalFailures } = this.#settings;
    this.#inARow(rows, hosts, host, consecutiveRows.serverErrors, consecutive5xx, nowMs);
    if (outcome >= outcomes.gatewayError) this.#inARow(rows, hosts, host, consecutiveRows.gatewayErrors, consecutiveGatewayErrors, nowMs);
    else rows.restart(host.slot, consecutiveRows.gatewayErrors);
    if (outcome === outcomes.localFailure) this.#inARow(rows, hosts, host, consecutiveRows.localFailures, consecutiveLocalFailures, nowMs);
    else rows.restart(host.slot, consecutiveRows.localFailures);
  }

  /** One more in a row of each sort, but the last, which has to be another failure. */
  #stale(rows: HostRows, slot: number): void {
    const { consecutive5xx, consecutiveGatewayErrors, consecutiveLocalFailures } = this.#settings;
    rows.failedBelow(slot, consecutiveRows.serverErrors, consecutive5xx - 1);
    rows.failedBelow(slot, consecutiveRows.gatewayErrors, consecutiveGatewayErrors - 1);
    rows.failedBelow(slot, consecutiveRows.localFailures, consecutiveLocalFailures - 1);
  }

  /** Exactly one thread sees the count reach the limit. */
  #inARow(rows: HostRows, hosts: HostSet, host: Host, row: ConsecutiveRow, limit: number, nowMs: number): void {
    if (limit === 0) return;
    const count = rows.failedAgain(host.slot, row);
    if (count < limit) return;
    // The count begins anew also where nobody may be ejected just now: the next attempt is not to ask again.
    rows.restart(host.slot, row);
    if (count > limit) return;
    const { pointer, name } = detectorNames[row];
    this.#eject(rows, hosts, host, { pointer, detail: `${name}, ${count} of ${limit}` }, nowMs);
  }

  /** Never 0, which is nobody's. */
  #markOf(host: Host): number {
    const { since } = host;
    if (host === this.#marked && since === this.#markedSince) return this.#mark;
    this.#marked = host;
    this.#markedSince = since;
    return this.#mark = Math.round(since) % 0x7fff_ffff || 1;
  }

  // --- ejecting ---------------------------------------------------------------------------------------------------

  #eject(rows: HostRows, { all, states }: HostSet, host: Host, { pointer, detail }: Verdict, nowMs: number): void {
    if (all.length < this.#settings.minHosts || this.#isOut(rows, states, host, nowMs)) return;
    const out = all.reduce((sum, other) => sum + (this.#isOut(rows, states, other, nowMs) ? 1 : 0), 0);
    if (out > 0 && out + 1 > Math.floor(all.length * this.#settings.maxEjected)) {
      this.#capped();
      return;
    }
    const times = this.#context.shadow ? 1 : states.ejections(host.slot) + 1;
    const untilMs = nowMs + ejectionMs(times, this.#settings, this.#context.random);
    if (this.#context.shadow) rows.setWouldBeOutUntil(host.slot, untilMs);
    else {
      states.setEjections(host.slot, times);
      states.setEjectedUntil(host.slot, untilMs);
    }
    this.#context.event({ event: this.#context.shadow ? 'would-eject' : 'ejected', service: host.service, host: host.address, pointer, detail, untilMs });
  }

  #isOut(rows: HostRows, states: HostSet['states'], { slot }: Host, nowMs: number): boolean {
    return this.#context.shadow ? rows.wouldBeOutUntil(slot) > nowMs : states.ejectedUntil(slot) > nowMs;
  }

  // --- once an interval ---------------------------------------------------------------------------------------------

  #lookAround(rows: HostRows, hosts: HostSet, nowMs: number): void {
    const first = hosts.all[0];
    if (first === undefined || first.slot === noSlot || (first.slot === this.#lookedSlot && nowMs < this.#lookedUntil)) return;
    const interval = Math.floor(nowMs / this.#settings.intervalMs);
    this.#lookedSlot = first.slot;
    this.#lookedUntil = (interval + 1) * this.#settings.intervalMs;
    if (!rows.beginsInterval(first.slot, interval % 0x7fff_ffff)) return;
    const judged = hosts.all.filter(({ slot }) => slot !== noSlot);
    for (const host of judged) this.#forgive(hosts.states, host, nowMs);
    if (!this.#measuresShares) return;
    const volumes = judged.map((host) => {
      rows.claim(host.slot, this.#markOf(host));
      return rows.takeVolume(host.slot);
    });
    for (const { index, pointer, detail } of findOutliers(volumes, this.#settings)) this.#eject(rows, hosts, judged[index] as Host, { pointer, detail }, nowMs);
  }

  /** Who is back is told of once; each interval without an ejection takes one off the count that the next one's length follows. */
  #forgive(states: HostSet['states'], { slot, service, address }: Host, nowMs: number): void {
    if (this.#context.shadow) return;
    const untilMs = states.ejectedUntil(slot);
    if (untilMs > nowMs) return;
    if (untilMs > 0) {
      states.setEjectedUntil(slot, 0);
      this.#context.event({ event: 'returned', service, host: address, pointer: '/baseEjection', detail: `after ${states.ejections(slot)} ejections`, untilMs: 0 });
    } else if (states.ejections(slot) > 0) states.setEjections(slot, states.ejections(slot) - 1);
  }
}

const detectorNames: Readonly<Record<ConsecutiveRow, { readonly pointer: string; readonly name: string }>> = {
  [consecutiveRows.serverErrors]: { pointer: '/consecutive5xx', name: 'consecutive-5xx' },
  [consecutiveRows.gatewayErrors]: { pointer: '/consecutiveGatewayErrors', name: 'consecutive-gateway-errors' },
  [consecutiveRows.localFailures]: { pointer: '/consecutiveLocalFailures', name: 'consecutive-local-failures' },
};

/** Whether no connection could be made, whatever the reason: refused, unreachable, out of time, no TLS, the wrong peer. */
function isConnectFailure(reason: Reason): boolean {
  return connectFailures.has(reason);
}

const connectFailures: ReadonlySet<Reason> = new Set([
  reasons.connectFailure, reasons.connectTimeout, reasons.upstreamIdentity, reasons.upstreamTlsName, reasons.upstreamTlsUntrusted, reasons.upstreamTlsFailed,
]);
/** What fails at one host within this is one event: a turn of the thread. */
const eventMs = 25;
