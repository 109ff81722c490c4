import type { HostStates } from '@remora/policy-kit/host-states';
import type { Host } from '@remora/policy-kit/hosts';
import { slowStartFactor, type SlowStart } from './slow-start.ts';
import type { LevelHealth } from './split-load.ts';

/** Hosts of one level, and those of them that requests may go to just now. */
export class LevelView implements LevelHealth {
  /** Those with a weight, in the order of the set; where none has one all are alike. */
  readonly members: readonly Host[];
  readonly states: HostStates;
  /** Those not taken out by hand; usable and reachable; those that nobody says are ill, reachable or not. */
  hosts = 0;
  usable = 0;
  healthy = 0;
  panic = false;
  /** The first `count` are valid: members by place, their weights now, and running sums of these. */
  readonly places: Uint32Array;
  readonly weights: Float64Array;
  readonly sums: Float64Array;
  count = 0;
  /** All weights are equal. */
  even = true;
  readonly #base: Float64Array;

  constructor(hosts: readonly Host[], states: HostStates) {
    const weighted = hosts.filter(({ weight }) => weight > 0);
    this.members = weighted.length > 0 ? weighted : hosts;
    this.states = states;
    this.#base = Float64Array.from(this.members, ({ weight }) => (weight > 0 ? weight : 1));
    this.places = new Uint32Array(this.members.length);
    this.weights = new Float64Array(this.members.length);
    this.sums = new Float64Array(this.members.length);
  }

  weightOf(member: number): number {
    return this.#base[member] as number;
  }

  /** Counts them by what is known of them now. */
  survey(now: number): void {
    let [hosts, usable, healthy] = [0, 0, 0];
    for (const host of this.members) {
      if (this.states.takenOutUntil(host.slot) > now) continue;
      hosts++;
      if (!this.states.usable(host.slot, now)) continue;
      healthy++;
      if (host.downUntil <= now) usable++;
    }
    this.hosts = hosts;
    this.usable = usable;
    this.healthy = healthy;
  }

  /** Finds who takes part. In panic everybody who was not taken out by hand; those that cannot be connected only where nobody can. */
  gather(now: number, panic: boolean, slowStart: SlowStart): void {
    this.panic = panic;
    this.count = 0;
    for (let member = 0; member < this.members.length; member++) if (this.takes(this.members[member] as Host, now)) this.#add(member, now, slowStart);
    if (this.count > 0) return;
    for (let member = 0; member < this.members.length; member++) {
      if (this.states.takenOutUntil((this.members[member] as Host).slot) <= now) this.#add(member, now, slowStart);
    }
  }

  /** Whether the host may have a request now, as far as the host is concerned. */
  takes({ slot, downUntil }: Host, now: number): boolean {
    if (downUntil > now) return false;
    return this.panic ? this.states.takenOutUntil(slot) <= now : this.states.usable(slot, now);
  }

  #add(member: number, now: number, slowStart: SlowStart): void {
    const at = this.count++;
    const base = this.#base[member] as number;
    const weight = slowStart.windowMs === 0 ? base : base * slowStartFactor(now - (this.members[member] as Host).since, slowStart);
    this.places[at] = member;
    this.weights[at] = weight;
    this.sums[at] = weight + (at === 0 ? 0 : (this.sums[at - 1] as number));
    this.even = at === 0 || (this.even && weight === this.weights[0]);
  }

  candidate(at: number): Host {
    return this.members[this.places[at] as number] as Host;
  }

  /** A candidate by weight, for a number from 0 to 1. */
  draw(random: number): number {
    const { count, sums } = this;
    if (this.even) return Math.min(count - 1, Math.floor(random * count));
    const wanted = random * (sums[count - 1] as number);
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (wanted < (sums[middle] as number)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
