import type { Random } from '@remora/core/random';
import type { Call } from '@remora/policy-kit/exchange';
import type { Host } from '@remora/policy-kit/hosts';
import { HashRing, type ConsistentTable } from './hash-ring.ts';
import { latencyCost, requestCost } from './host-cost.ts';
import type { LevelView } from './level-view.ts';
import { MaglevTable, maglevSize } from './maglev-table.ts';
import { SmoothTurn } from './smooth-turn.ts';
import type { LoadBalancingSettings } from './wire.ts';

/** What a choice is about. One for each balancer, filled in for each choice: nothing waits within it. */
export interface Wanted {
  avoid: Call['avoid'];
  /** Of the request's key; -1: it has none. */
  hash: number;
  now: number;
}

/** Chooses in one level, with what it remembers from choice to choice. Null: all are to be avoided, or have become unusable this moment. */
export type Picker = (wanted: Wanted) => Host | null;

/** The picker of a level: levels keep their own turns and tables. */
export function createPicker(view: LevelView, settings: LoadBalancingSettings, random: Random): Picker {
  const { algorithm, choices } = settings;
  const otherwise = comparing(view, choices, random, true);
  switch (algorithm) {
    case 'ringHash':
    case 'maglev':
      return byHash(view, settings, otherwise);
    case 'roundRobin':
      return inTurn(view, random);
    case 'weighted':
      return inSmoothTurn(view, random);
    case 'random':
      return (wanted) => orScan(view, wanted, view.draw(random.next()));
    case 'leastRequest':
      return comparing(view, choices, random, false);
    case 'peakEwma':
      return otherwise;
  }
}

function accepts(view: LevelView, host: Host, { avoid, now }: Wanted): boolean {
  return view.takes(host, now) && (avoid.length === 0 || !avoid.includes(host.id));
}

/** The candidate, or the next one that is accepted. */
function orScan(view: LevelView, wanted: Wanted, from: number): Host | null {
  for (let i = 0; i < view.count; i++) {
    const host = view.candidate((from + i) % view.count);
    if (accepts(view, host, wanted)) return host;
  }
  return null;
}

/** The best of some that are drawn (Mitzenmacher's power of two choices). */
function comparing(view: LevelView, choices: number, random: Random, byLatency: boolean): Picker {
  return (wanted) => {
    let best: Host | null = null;
    let least = 0;
    const draws = view.count <= 1 ? view.count : choices;
    let last = -1;
    for (let i = 0; i < draws; i++) {
      let at = view.draw(random.next());
      // Twice the same is no choice; where weights differ the second draw says itself whom it prefers.
      if (at === last && view.even) at = (at + 1 + Math.floor(random.next() * (view.count - 1))) % view.count;
      last = at;
      const host = view.candidate(at);
      if (!accepts(view, host, wanted)) continue;
      const weight = view.weights[at] as number;
      const cost = byLatency ? latencyCost(host, weight, wanted.now) : requestCost(host, weight);
      if (best !== null && cost >= least) continue;
      best = host;
      least = cost;
    }
    return best ?? (view.count === 0 ? null : orScan(view, wanted, view.draw(random.next())));
  };
}

/** One after the other, whatever their weights. Callers begin at different places. */
function inTurn(view: LevelView, random: Random): Picker {
  let turn = Math.floor(random.next() * 0x1000_0000);
  return (wanted) => (view.count === 0 ? null : orScan(view, wanted, turn++ % view.count));
}

function inSmoothTurn(view: LevelView, random: Random): Picker {
  const turns = new SmoothTurn(view.members.length);
  const weights = new Float64Array(view.members.length);
  let begun = false;
  return (wanted) => {
    weights.fill(0);
    for (let at = 0; at < view.count; at++) if (accepts(view, view.candidate(at), wanted)) weights[view.places[at] as number] = view.weights[at] as number;
    if (!begun) {
      begun = true;
      for (let skip = Math.floor(random.next() * view.count); skip > 0; skip--) turns.next((member) => weights[member] as number);
    }
    const member = turns.next((one) => weights[one] as number);
    return member < 0 ? null : view.members[member] as Host;
  };
}

/**
 * The first host from the key's place on that may have the request. Ill hosts keep their places, so that only their own keys move while they are ill. With a
 * bound (Mirrokni, Thorup, Zadimoghaddam 2016) those with more than their part of this thread's requests are passed over.
 */
function byHash(view: LevelView, { algorithm, places, boundedLoad }: LoadBalancingSettings, otherwise: Picker): Picker {
  let table: ConsistentTable | null = null;
  return (wanted) => {
    if (wanted.hash < 0) return otherwise(wanted);
    if (table === null) {
      const members = view.members.map(({ address }, member) => ({ address, weight: view.weightOf(member) }));
      table = algorithm === 'maglev' && members.length < maglevSize ? new MaglevTable(members, maglevSize) : new HashRing(members, places);
    }
    const bound = boundedLoad > 0 ? boundPerWeight(view, boundedLoad) : Infinity;
    const start = table.start(wanted.hash);
    for (let i = 0; i < table.length; i++) {
      const member = table.memberAt(start + i);
      const host = view.members[member] as Host;
      if (accepts(view, host, wanted) && host.active < bound * view.weightOf(member)) return host;
    }
    return bound === Infinity ? null : otherwise(wanted);
  };
}

/** Requests that a host may have, this one included, for each unit of its weight. */
function boundPerWeight(view: LevelView, boundedLoad: number): number {
  let active = 1;
  let weight = 0;
  for (let at = 0; at < view.count; at++) {
    active += view.candidate(at).active;
    weight += view.weightOf(view.places[at] as number);
  }
  return Math.max(1, (active * boundedLoad) / view.count) * (view.count / weight);
}
