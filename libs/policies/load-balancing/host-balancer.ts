import { hashText } from '@remora/core/text-hash';
import type { Call } from '@remora/policy-kit/exchange';
import type { Balancer, Host, HostSet } from '@remora/policy-kit/hosts';
import type { Random } from '@remora/core/random';
import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import { createKeyHash, type KeyHash } from './host-key.ts';
import { HostTable } from './host-table.ts';
import type { Wanted } from './pick-host.ts';
import { reportLayout, StateReports, type ReportedSet, type ReportedState } from './state-reports.ts';
import { hostToken, type StickySessions } from './sticky-sessions.ts';
import { usesHash, type LoadBalancingSettings } from './wire.ts';

/** What a balancer may use. */
export type BalancerContext = Pick<FilterContext, 'event' | 'random' | 'live' | 'sharedRows'>;

/** Chooses by one section. Keeps a table for each set of hosts that it is asked about, for as long as the set is used. */
export class HostBalancer implements Balancer {
  readonly #settings: LoadBalancingSettings;
  readonly #random: Random;
  readonly #keyOf: KeyHash | null;
  readonly #sticky: StickySessions | null;
  readonly #reports: StateReports;
  readonly #context: BalancerContext;
  /** Who has the same settings reports the same. */
  readonly #likeness: string;
  readonly #tables = new WeakMap<HostSet, KnownSet>();
  #last: KnownSet | null = null;
  #lastSet: HostSet | null = null;
  readonly #wanted: Wanted = { avoid: [], hash: -1, now: 0 };

  constructor(settings: LoadBalancingSettings, context: BalancerContext, sticky: StickySessions | null) {
    this.#settings = settings;
    this.#random = context.random;
    this.#sticky = sticky;
    this.#keyOf = usesHash(settings.algorithm) ? createKeyHash(settings.hashBy) : null;
    this.#context = context;
    this.#likeness = JSON.stringify(settings);
    const memory = context.sharedRows('loadBalancing/states', 'states by place', reportLayout);
    this.#reports = context.live.keep(`loadBalancing/reports/${this.#likeness}`, 'reports', () => new StateReports(memory));
  }

  choose(call: Call, set: HostSet, nowMs: number): Host | null {
    const [only] = set.hosts;
    if (set.hosts.length <= 1 && (only === undefined || set.states.usable(only.slot, nowMs))) {
      if (only !== undefined && !this.#reports.quiet) this.#lookAtOne(set, nowMs);
      return only ?? null;
    }
    const known = this.#known(set);
    const { table } = known;
    if (table.refresh(nowMs)) this.#reports.look(known.reported, table.state, known, nowMs);
    const session = this.#sticky === null ? null : this.#session(call, set, known, nowMs);
    if (session !== null) return session;
    const wanted = this.#wanted;
    wanted.avoid = call.avoid;
    wanted.now = nowMs;
    wanted.hash = this.#keyOf === null ? -1 : this.#keyOf(call);
    return table.choose(wanted, wanted.hash < 0 ? this.#random.next() : wanted.hash / 0x1_0000_0000);
  }

  /** Of the hosts that something was wrong with, one is left and well: that is over. */
  #lookAtOne(set: HostSet, nowMs: number): void {
    const known = this.#known(set);
    if (known.table.refresh(nowMs)) this.#reports.look(known.reported, known.table.state, known, nowMs);
  }

  #known(set: HostSet): KnownSet {
    if (this.#lastSet === set && this.#last !== null) return this.#last;
    let known = this.#tables.get(set);
    if (known === undefined) {
      const table = new HostTable(set, this.#settings, this.#random);
      const service = set.hosts[0]?.service ?? '';
      const key = hashText(`${service}\0${set.hosts[0]?.port ?? ''}\0${commonLabels(set)}\0${this.#likeness}`);
      known = { table, reported: { state: 0, since: 0, told: 0 }, service, key, figures: () => table.figures, context: this.#context, tokens: null };
      this.#tables.set(set, known);
    }
    this.#lastSet = set;
    this.#last = known;
    return known;
  }

  /** The host that the client was with, where it can have it again: not one that leaves, is ill, or has failed this request already. */
  #session(call: Call, { hosts, states }: HostSet, known: KnownSet, now: number): Host | null {
    const token = this.#sticky?.tokenOf(call.head) ?? null;
    if (token === null) return null;
    known.tokens ??= new Map(hosts.map((host) => [hostToken(host), host]));
    const host = known.tokens.get(token) ?? null;
    if (host === null || host.draining || host.downUntil > now || !states.usable(host.slot, now) || call.avoid.includes(host.id)) return null;
    return host;
  }
}

interface KnownSet extends ReportedSet {
  readonly table: HostTable;
  readonly reported: ReportedState;
  /** By token of sticky sessions; made when the first client comes with one. */
  tokens: Map<string, Host> | null;
}

/** Tells the subsets of a service apart. */
function commonLabels({ hosts, all }: HostSet): string {
  if (hosts.length === all.length) return '';
  return (hosts[0]?.labels ?? []).filter((label) => hosts.every(({ labels }) => labels.includes(label))).join('\0');
}
