import type { Reason } from '@remora/errors/reason';
import type { Call } from './exchange.ts';
import type { HostStates } from './host-states.ts';

/**
 * One instance of a destination at one of its ports, as a caller's data thread knows it. The same object for as long as the thread's endpoint sets name
 * the endpoint under the same address: what it has learned outlives sets and snapshots.
 */
export interface Host {
  readonly service: string;
  readonly port: string;
  /** Id of the endpoint. */
  readonly id: string;
  /** `host:port`. */
  readonly address: string;
  /** Row of the host in memory that all threads share (`HostStates`), and of what kinds share about hosts; the control thread assigns it. */
  readonly slot: number;
  readonly weight: number;
  /** `region/zone/subzone`; '' where unknown. */
  readonly locality: string;
  /** As `key=value`, sorted. */
  readonly labels: readonly string[];
  readonly backup: boolean;
  /** Its source lost most of its instances at once: used last. */
  readonly suspect: boolean;
  readonly draining: boolean;
  /** Monotonic milliseconds at which any thread first heard of it. */
  readonly since: number;
  /** Calls of this thread that are under way, those that wait for a connection included. */
  readonly active: number;
  /** Monotonic milliseconds until which no connection could be made lately: others are preferred. */
  readonly downUntil: number;
  /** Mean time to the response head in milliseconds, weighted towards what is recent and slow (peak EWMA); 0 before the first answer. */
  readonly latencyMs: number;
  /** Monotonic milliseconds of the answer that `latencyMs` took in last; 0 before the first. What is old counts for less: balancers let it fade. */
  readonly latencyAt: number;
  /** Monotonic milliseconds since when it owes this thread an answer: of its last answer, or of the first call after it owed none. 0: none of its calls waits for an answer. */
  readonly owesSince: number;
}

/** The hosts of one target (destination, port and labels). Another object whenever any of them changed; balancers keep their tables by it. */
export interface HostSet {
  /** Sorted by id, without doubles. */
  readonly hosts: readonly Host[];
  /** All hosts of the destination at this port, whatever their labels, sorted by id: what caps and comparisons are about. */
  readonly all: readonly Host[];
  /** What is known of them all. */
  readonly states: HostStates;
  /** Of the caller. */
  readonly locality: string;
}

/** Chooses a host for each attempt. One per place and thread; never waits. */
export interface Balancer {
  /** Null: nobody may be used. `call.avoid` names hosts that earlier attempts used; they are taken where nobody else is left. */
  choose(call: Call, hosts: HostSet, nowMs: number): Host | null;
}

/** Hears how attempts end at hosts: exactly one of the two for each attempt that got a host, unless nobody waited for its end any more. */
export interface HostWatch {
  /** A final response head came. `grpcStatus` -1: the head says none. */
  answered(call: Call, host: Host, status: number, grpcStatus: number, latencyMs: number): void;
  /** None came, and it was not the client's doing. `sent`: the host had a connection and was given the request. */
  failed(call: Call, host: Host, reason: Reason, sent: boolean): void;
}
