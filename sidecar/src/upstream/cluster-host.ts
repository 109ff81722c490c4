import type { Host } from '@remora/policy-kit/hosts';
import type { EndpointPort, ServiceEndpoint } from '@remora/snapshot/decode-endpoints';
import { noSlot } from '@remora/policy-kit/host-states';
import type { UpstreamPool } from './upstream-pool.ts';

/** One port of an endpoint on one data thread: what is learned of it stays here for as long as sets name it. */
export class ClusterHost implements Host {
  readonly service: string;
  readonly port: string;
  readonly id: string;
  readonly address: string;
  slot = noSlot;
  since = 0;
  weight = 1;
  locality = '';
  labels: readonly string[] = [];
  backup = false;
  suspect = false;
  draining = false;
  active = 0;
  latencyMs = 0;
  latencyAt = 0;
  owesSince = 0;
  #waiting = 0;
  /** No set names it any more. Calls under way end there, and nobody is told how: its slot may be another host's soon. */
  gone = false;
  /** By the ways in which its port is connected (`Cluster` numbers them); nearly always one. */
  pools: UpstreamPool[] = [];

  constructor(service: string, port: string, id: string, address: string) {
    this.service = service;
    this.port = port;
    this.id = id;
    this.address = address;
  }

  static key(port: string, id: string, { host, port: number }: EndpointPort): string {
    return `${port}\0${id}\0${host}:${number}`;
  }

  /** As the last set has it. */
  describe({ weight, locality, labels, backup, suspect, draining }: ServiceEndpoint, grant: HostGrant): void {
    this.weight = weight;
    this.locality = locality;
    this.labels = labels;
    this.backup = backup;
    this.suspect = suspect;
    this.draining = draining;
    this.slot = grant.slot;
    this.since = grant.since;
  }

  get downUntil(): number {
    return this.pools.at(-1)?.downUntil ?? 0;
  }

  /** For people who look. */
  shown(): object {
    const { service, port, id, address, slot, active, latencyMs } = this;
    return { service, port, id, address, slot, active, latencyMs: Math.round(latencyMs * 100) / 100 };
  }

  /** A call was given to it: it owes an answer. */
  asked(nowMs: number): void {
    if (this.#waiting++ === 0) this.owesSince = nowMs;
  }

  /** A call does not wait for its answer any more, because its head came or because it ended without one. */
  settled(nowMs: number, answered: boolean): void {
    if (--this.#waiting === 0) this.owesSince = 0;
    else if (answered) this.owesSince = nowMs;
  }

  /** An answer's head came after this time: latency rises to a peak at once, and sinks with a half-life of 1.4 s (Finagle's peak EWMA). */
  answered(latencyMs: number, nowMs: number): void {
    const before = this.latencyMs;
    if (latencyMs >= before || this.latencyAt === 0) this.latencyMs = latencyMs;
    else {
      const kept = Math.exp((this.latencyAt - nowMs) / latencyDecayMs);
      this.latencyMs = before * kept + latencyMs * (1 - kept);
    }
    this.latencyAt = nowMs;
  }

  /**
   * A call that began at `sinceMs` had no answer in time. What it waited says how patient somebody is: for that, a host would be shunned long after it has recovered.
   * It counts as ten times slower than it was (at most as slow as was waited), which is tried again after 5 s, and calls that wait together count once.
   */
  ranOut(sinceMs: number, nowMs: number): void {
    if (this.latencyAt >= sinceMs) return;
    const usual = this.latencyAt === 0 ? unmeasuredMs : this.latencyMs;
    this.latencyMs = Math.max(usual * Math.exp((this.latencyAt - nowMs) / latencyDecayMs), Math.min(nowMs - sinceMs, usual * silenceFactor));
    this.latencyAt = nowMs;
  }
}

/** Slot and first sight of a host, as the control thread assigned them. */
export interface HostGrant {
  readonly slot: number;
  readonly since: number;
}

/** What was measured this long ago counts for 1/e. */
export const latencyDecayMs = 2_000;
/** How much slower than usual a host counts that did not answer in time. */
const silenceFactor = 10;
/** Of a host that has never answered. */
const unmeasuredMs = 100;
