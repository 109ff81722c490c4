import type { Random } from '@remora/core/random';
import type { Call } from '@remora/policy-kit/exchange';
import type { HostStates } from '@remora/policy-kit/host-states';
import type { Balancer, Host, HostSet } from '@remora/policy-kit/hosts';

/**
 * Where no policy says otherwise: least request of two. Two hosts are drawn by weight, the one with fewer requests per weight is taken. Hosts in `avoid`,
 * those that could not be connected just now, and those that are ejected or unhealthy are passed over as long as a tier has others; tiers are tried in order, and where
 * everybody is passed over, the first tier is used anyway. Null where there is nobody.
 */
export class UsualBalancer implements Balancer {
  readonly #random: Random;
  readonly #tiers = new WeakMap<HostSet, readonly Tier[]>();

  constructor(random: Random) {
    this.#random = random;
  }

  choose({ avoid }: Pick<Call, 'avoid'>, set: HostSet, nowMs: number): Host | null {
    if (set.hosts.length === 1) return set.hosts[0] as Host;
    let tiers = this.#tiers.get(set);
    if (tiers === undefined) {
      tiers = tiersOf(set.hosts);
      this.#tiers.set(set, tiers);
    }
    for (let i = 0; i < tiers.length; i++) {
      const found = chooseIn(tiers[i] as Tier, { avoid, states: set.states, now: nowMs }, this.#random);
      if (found !== null) return found;
    }
    const first = tiers[0];
    return first === undefined ? null : draw(first, this.#random);
  }
}

/** `cumulative`: the running sums of weights; null where all are equal. */
interface Tier {
  readonly hosts: readonly Host[];
  readonly cumulative: readonly number[] | null;
}

interface Circumstances {
  readonly avoid: readonly string[];
  readonly states: HostStates;
  readonly now: number;
}

function chooseIn(tier: Tier, now: Circumstances, random: Random): Host | null {
  const one = draw(tier, random);
  const other = draw(tier, random);
  const first = usable(one, now) ? one : null;
  const second = usable(other, now) ? other : null;
  if (first !== null && second !== null) return load(second) < load(first) ? second : first;
  return first ?? second ?? scan(tier.hosts, now, random);
}

/** Both draws were unlucky: the first usable one from a random place on. */
function scan(hosts: readonly Host[], now: Circumstances, random: Random): Host | null {
  const start = Math.floor(random.next() * hosts.length);
  for (let i = 0; i < hosts.length; i++) {
    const host = hosts[(start + i) % hosts.length] as Host;
    if (usable(host, now)) return host;
  }
  return null;
}

function draw({ hosts, cumulative }: Tier, random: Random): Host {
  if (cumulative === null) return hosts[Math.floor(random.next() * hosts.length)] as Host;
  const at = random.next() * (cumulative[cumulative.length - 1] as number);
  let low = 0;
  let high = cumulative.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at < (cumulative[middle] as number)) high = middle;
    else low = middle + 1;
  }
  return hosts[low] as Host;
}

function usable({ id, slot, downUntil }: Host, { avoid, states, now }: Circumstances): boolean {
  return downUntil <= now && states.usable(slot, now) && (avoid.length === 0 || !avoid.includes(id));
}

function load({ active, weight }: Host): number {
  return (active + 1) / Math.max(weight, 1e-9);
}

function tiersOf(all: readonly Host[]): readonly Tier[] {
  const tiers: Host[][] = [[], [], [], []];
  for (const host of all) tiers[tierOf(host)]?.push(host);
  return tiers.filter((hosts) => hosts.length > 0).map(makeTier);
}

/** The next tier only where the ones before have nobody left. */
export function tierOf({ draining, suspect, backup }: Pick<Host, 'draining' | 'suspect' | 'backup'>): number {
  return draining ? 3 : suspect ? 2 : backup ? 1 : 0;
}

/** Hosts of weight 0 are never chosen; where all are 0 they count as equal. */
function makeTier(all: readonly Host[]): Tier {
  const weighted = all.filter(({ weight }) => weight > 0);
  const hosts = weighted.length > 0 ? weighted : all;
  const first = hosts[0]?.weight ?? 0;
  if (hosts.every(({ weight }) => weight === first)) return { hosts, cumulative: null };
  let sum = 0;
  return { hosts, cumulative: hosts.map(({ weight }) => (sum += weight)) };
}
