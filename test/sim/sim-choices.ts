import type { Call, Sink } from '@remora/policy-kit/exchange';
import type { Balancer, HostSet } from '@remora/policy-kit/hosts';
import type { HostStates } from '@remora/policy-kit/host-states';
import { createUsualBalancer, loadBalancingRuntime } from '@remora/policy-load-balancing/filter';
import { usualLoadBalancing, type LoadBalancingSettings } from '@remora/policy-load-balancing/wire';
import { ClusterHost } from '@remora/sidecar/upstream/cluster-host';
import type { KnownHost } from '@remora/sidecar/upstream/host-slots';
import type { TestFilterContext } from '@remora/testing/filter-context';
import type { CallInvariants } from './call-invariants.ts';

/** How a caller balances: as it does without a policy, or by one. */
export const algorithms = ['default', 'leastRequest', 'roundRobin', 'random'] as const satisfies readonly (LoadBalancingSettings['algorithm'] | 'default')[];

/** Whom one data thread of a caller asks: its real balancer, over what it has learned of hosts itself. */
export class SimChoices {
  readonly #node: string;
  readonly #balancer: Balancer;
  readonly #invariants: CallInvariants;
  readonly #hosts = new Map<string, ClusterHost>();
  /** When each was asked last, could not be, or came; and how many attempts there had been by then. */
  readonly #asked = new Map<ClusterHost, { readonly at: number; readonly attempts: number }>();
  #attempts = 0;
  #set: HostSet | null = null;

  constructor(node: string, algorithm: (typeof algorithms)[number], context: TestFilterContext, invariants: CallInvariants) {
    this.#node = node;
    this.#balancer = algorithm === 'default' ? createUsualBalancer(context) : balancerOf({ ...usualLoadBalancing, algorithm }, context);
    this.#invariants = invariants;
  }

  get set(): HostSet | null {
    return this.#set;
  }

  update(granted: readonly KnownHost[], states: HostStates, nowMs: number): void {
    const all = granted.map(({ service, port, id, address, slot, since, endpoint }) => {
      const key = `${id}\0${address}`;
      const host = this.#hosts.get(key) ?? new ClusterHost(service, port, id, address);
      host.describe(endpoint, { slot, since });
      this.#hosts.set(key, host);
      if (!this.#asked.has(host)) this.#asked.set(host, { at: nowMs, attempts: this.#attempts });
      return host;
    });
    for (const [key, host] of this.#hosts) {
      if (all.includes(host)) continue;
      this.#hosts.delete(key);
      this.#asked.delete(host);
    }
    this.#set = { hosts: all, all, states, locality: '' };
  }

  /** For an attempt after those at `avoid`. */
  choose(set: HostSet, avoid: readonly string[], nowMs: number): ClusterHost | null {
    const host = this.#balancer.choose({ avoid } as unknown as Call, set, nowMs) as ClusterHost | null;
    const usable = set.hosts.filter(({ slot }) => set.states.usable(slot, nowMs));
    this.#invariants.chosen(this.#node, {
      host: host?.id ?? null, known: host !== null && set.hosts.includes(host), usable: host !== null && usable.includes(host), usableHosts: usable.length, hosts: set.hosts.length,
      others: usable.some(({ id }) => !avoid.includes(id)), again: host !== null && avoid.includes(host.id), doubted: set.hosts.some(({ suspect }) => suspect),
    });
    this.#attempts += 1;
    for (const one of set.hosts as readonly ClusterHost[]) this.#look(one, one === host || one.suspect || one.draining || !usable.includes(one), nowMs);
    if (host === null) return null;
    host.active += 1;
    host.asked(nowMs);
    return host;
  }

  /** `latencyMs`: of its answer; null: there was none. */
  ended(host: ClusterHost, latencyMs: number | null, nowMs: number): void {
    host.active -= 1;
    host.settled(nowMs, latencyMs !== null);
    if (latencyMs !== null) host.answered(latencyMs, nowMs);
  }

  /** `excused`: it was asked, or need not be. */
  #look(host: ClusterHost, excused: boolean, nowMs: number): void {
    const { at, attempts } = this.#asked.get(host) ?? { at: nowMs, attempts: this.#attempts };
    const forgotten = nowMs - at > unaskedMaxMs && this.#attempts - attempts > unaskedMaxAttempts;
    if (excused || forgotten) this.#asked.set(host, { at: nowMs, attempts: this.#attempts });
    if (forgotten && !excused) this.#invariants.violations.push(`${this.#node} asks ${host.id} no more: ${this.#attempts - attempts} attempts and ${Math.round(nowMs - at)} ms went by`);
  }
}

/** What the layer of a policy gives calls. */
function balancerOf(settings: LoadBalancingSettings, context: TestFilterContext): Balancer {
  const call = { balancer: null } as unknown as Call;
  const nowhere = {} as Sink;
  loadBalancingRuntime.layer?.(settings, context)?.(() => nowhere)(call, nowhere);
  if (call.balancer === null) throw new Error('the layer names no balancer');
  return call.balancer;
}

/** A host that was thirty times slower than the others is tried again after 7 s, unless chance has it otherwise. */
const unaskedMaxMs = 20_000;
const unaskedMaxAttempts = 100;
