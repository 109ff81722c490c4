import type { Random } from '@remora/core/random';
import type { Host, HostSet } from '@remora/policy-kit/hosts';
import { groupHosts } from './host-levels.ts';
import { LevelView } from './level-view.ts';
import { createPicker, type Picker, type Wanted } from './pick-host.ts';
import { emptySplit, splitLoad, type LoadSplit } from './split-load.ts';
import type { LoadBalancingSettings } from './wire.ts';

/** What requests meet now: worth telling when it changes. */
export interface TableState {
  /** Requests go to hosts that are known to be ill, because too few are not. */
  readonly panic: boolean;
  /** Requests go to hosts that are not the preferred ones. */
  readonly failover: boolean;
}

/**
 * The hosts of one set, ready to be chosen from. What is known of them is looked at again when a choice is made and the last look is 50 ms ago; a choice itself
 * looks at the hosts it is about to take.
 */
export class HostTable {
  readonly #settings: LoadBalancingSettings;
  readonly #groups: readonly LevelGroup[];
  #group: LevelGroup;
  #lookedAt = -Infinity;
  #usable = 0;
  #healthy = 0;
  #hosts = 0;

  constructor(set: HostSet, settings: LoadBalancingSettings, random: Random) {
    this.#settings = settings;
    const { levels, suspect, draining } = groupHosts(set.hosts, set.locality, settings.prefer);
    const groups = [levels, [suspect], [draining]].map((hosts) => new LevelGroup(hosts.filter(({ length }) => length > 0).map((level) => new LevelView(level, set.states)), settings, random));
    this.#groups = groups.filter(({ views }) => views.length > 0);
    this.#group = this.#groups[0] ?? noHosts;
  }

  /** True: the states were looked at. */
  refresh(now: number): boolean {
    if (now - this.#lookedAt < lookEveryMs) return false;
    this.#lookedAt = now;
    this.#usable = 0;
    this.#hosts = 0;
    this.#healthy = 0;
    for (const group of this.#groups) {
      group.refresh(now, this.#settings);
      this.#usable += group.usable;
      this.#hosts += group.hosts;
      this.#healthy += group.healthy;
    }
    this.#group = this.#groups.find(({ usable }) => usable > 0) ?? this.#groups.find(({ hosts }) => hosts > 0) ?? noHosts;
    return true;
  }

  get state(): TableState {
    const [preferred = noHosts] = this.#groups;
    return { panic: this.#group.panic, failover: this.#group !== preferred || (preferred.views.length > 1 && (preferred.split.shares[0] as number) < 1) };
  }

  get figures(): string {
    return `${this.#usable} of ${this.#hosts} hosts are usable`;
  }

  /** `part`: from 0 to 1, which share of the levels the request belongs to. */
  choose(wanted: Wanted, part: number): Host | null {
    if (this.#settings.panicThreshold === 0 && this.#healthy === 0) return null;
    const found = this.#group.choose(wanted, part);
    if (found !== null || wanted.avoid.length === 0) return found ?? this.#elsewhere(wanted);
    const other = this.#elsewhere(wanted);
    if (other !== null) return other;
    wanted.avoid = nobody;
    return this.#group.choose(wanted, part) ?? this.#elsewhere(wanted);
  }

  /** In the order of preference; at last whoever was not taken out by hand. */
  #elsewhere(wanted: Wanted): Host | null {
    for (const group of this.#groups) {
      const found = group.usable > 0 ? group.any(wanted) : null;
      if (found !== null) return found;
    }
    return wanted.avoid.length > 0 ? null : this.#group.last();
  }
}

/** Levels that share the requests by their health. */
class LevelGroup {
  readonly views: readonly LevelView[];
  readonly split: LoadSplit;
  readonly #pickers: readonly Picker[];
  usable = 0;
  hosts = 0;
  panic = false;
  healthy = 0;
  #lastTurn = 0;

  constructor(views: readonly LevelView[], settings: LoadBalancingSettings, random: Random) {
    this.views = views;
    this.split = emptySplit(views.length);
    this.#pickers = views.map((view) => createPicker(view, settings, random));
  }

  refresh(now: number, { overprovisioning, panicThreshold, slowStart }: LoadBalancingSettings): void {
    this.usable = 0;
    this.hosts = 0;
    this.healthy = 0;
    for (const view of this.views) {
      view.survey(now);
      this.usable += view.usable;
      this.hosts += view.hosts;
      this.healthy += view.healthy;
    }
    splitLoad(this.views, overprovisioning, panicThreshold, this.split);
    this.panic = false;
    for (let i = 0; i < this.views.length; i++) {
      const panic = this.split.panic[i] === 1;
      (this.views[i] as LevelView).gather(now, panic, slowStart);
      if (panic && (this.split.shares[i] as number) > 0) this.panic = true;
    }
  }

  choose(wanted: Wanted, part: number): Host | null {
    const { shares } = this.split;
    let level = 0;
    for (let left = part - (shares[0] as number); left >= 0 && level < shares.length - 1; left -= shares[level] as number) level++;
    return this.#pickers[level]?.(wanted) ?? this.any(wanted);
  }

  any(wanted: Wanted): Host | null {
    for (const pick of this.#pickers) {
      const found = pick(wanted);
      if (found !== null) return found;
    }
    return null;
  }

  /** Nobody can be used, and somebody has to be. */
  last(): Host | null {
    const view = this.views.find(({ count }) => count > 0);
    return view === undefined ? null : view.candidate(this.#lastTurn++ % view.count);
  }
}

const lookEveryMs = 50;
const nobody: string[] = Object.freeze([]) as unknown as string[];
const noHosts = new LevelGroup([], {} as LoadBalancingSettings, { next: () => 0 });
