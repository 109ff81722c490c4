import type { HostStates } from '@remora/policy-kit/host-states';
import type { HostSet } from '@remora/policy-kit/hosts';
import type { HostCensus } from '../records/failure-chain.ts';
import type { ClusterHost } from './cluster-host.ts';
import type { UpstreamPool } from './upstream-pool.ts';

/** The hosts of one target, and how they are connected. */
export class TargetHosts implements HostSet {
  readonly hosts: readonly ClusterHost[];
  readonly all: readonly ClusterHost[];
  readonly states: HostStates;
  readonly locality: string;
  /** What was said of the hosts last, for records of failures: very many of them may come in one moment. */
  census: { readonly atMs: number; readonly census: HostCensus } | null = null;
  /** Of the way in which the target's port is connected. */
  readonly #way: number;

  constructor({ hosts, all, states, locality, way }: TargetHostsParts) {
    this.hosts = hosts;
    this.all = all;
    this.states = states;
    this.locality = locality;
    this.#way = way;
  }

  /** Of a host of this set. */
  poolOf(host: ClusterHost): UpstreamPool {
    return host.pools[this.#way] as UpstreamPool;
  }
}

export interface TargetHostsParts extends HostSet {
  readonly hosts: readonly ClusterHost[];
  readonly all: readonly ClusterHost[];
  /** Place of the target's pools in `ClusterHost.pools`. */
  readonly way: number;
}
