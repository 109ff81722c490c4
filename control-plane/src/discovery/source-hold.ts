import type { FoundInstance } from './found-instance.ts';

/** Times and shares of what is kept although a source does not name it any more (design.md section 4). */
export interface HoldLimits {
  /** Departures from one Service within this time count as "at once". */
  readonly windowMs: number;
  /** Share of the instances above which those that vanish at once become suspect. */
  readonly vanishingShareMax: number;
  /** How long a suspect instance is kept. */
  readonly suspectForMs: number;
  /** An instance that vanished and came back this often within `flappingMs` is flapping: when it vanishes again it becomes suspect for `flapHoldMs`. */
  readonly flapsMax: number;
  readonly flappingMs: number;
  readonly flapHoldMs: number;
}

export const defaultHoldLimits: HoldLimits = { windowMs: 30_000, vanishingShareMax: 0.5, suspectForMs: 600_000, flapsMax: 3, flappingMs: 300_000, flapHoldMs: 60_000 };

/** An instance, and how sure we are of it. */
export interface HeldInstance {
  readonly instance: FoundInstance;
  /** Monotonic ms: when it appeared. */
  readonly sinceMs: number;
  /** Monotonic ms: the source named it last. */
  readonly namedMs: number;
  /** Null: the source names it. Otherwise when it will be given up, monotonic ms. */
  readonly suspectUntilMs: number | null;
}

/** What is kept over a restart. */
export interface RestoredHold {
  readonly instances: readonly FoundInstance[];
  /** Ids of those that are suspect. */
  readonly suspects: ReadonlySet<string>;
  /** See `goneLately`. */
  readonly gone: number;
}

interface Departures {
  readonly at: number[];
  goneSince: number;
}

/** Instances that went and may come back, of which departures are remembered; the oldest are forgotten beyond. */
const rememberedMax = 10_000;

/**
 * What one source says of one Service, with doubt: new instances are believed at once, departures where they are few. When most instances vanish within a short time,
 * which is what an empty, half-filled or lying answer looks like, those that vanished are kept as suspect, used last. Failures change nothing. Pure: time is given.
 */
export class SourceHold {
  readonly #limits: HoldLimits;
  #held = new Map<string, HeldInstance>();
  /** When instances went lately, oldest first. */
  #gone: number[] = [];
  readonly #departures = new Map<string, Departures>();

  constructor(limits: HoldLimits = defaultHoldLimits) {
    this.#limits = limits;
  }

  /** In order of their ids. */
  get instances(): readonly HeldInstance[] {
    return [...this.#held.values()];
  }

  get suspects(): number {
    let count = 0;
    for (const { suspectUntilMs } of this.#held.values()) if (suspectUntilMs !== null) count++;
    return count;
  }

  /** How many went so lately that they count towards "at once". */
  get goneLately(): number {
    return this.#gone.length;
  }

  /**
   * What an earlier process knew. Only before the first answer. Doubts begin anew, and what had gone lately counts as gone now: nobody knows for how long there was no
   * process, clocks may have been set meanwhile, and sources that lose instances while processes die must not get around the guard.
   */
  restore({ instances, suspects, gone }: RestoredHold, { sinceMs, nowMs }: { readonly sinceMs: number; readonly nowMs: number }): void {
    for (const instance of instances) this.#held.set(instance.id, { instance, sinceMs, namedMs: sinceMs, suspectUntilMs: suspects.has(instance.id) ? nowMs + this.#limits.suspectForMs : null });
    this.#gone = Array.from({ length: Math.min(gone, rememberedMax) }, () => nowMs);
  }

  /** Takes an answer, sorted by id; says whether anything that callers see is different now. */
  answer(instances: readonly FoundInstance[], nowMs: number): boolean {
    const before = this.#held;
    const named = new Set(instances.map(({ id }) => id));
    // What was leaving and has left is no surprise.
    const vanished = [...before.values()].filter(({ instance, suspectUntilMs }) => suspectUntilMs === null && !instance.draining && !named.has(instance.id));
    const kept = this.#keep(vanished, nowMs);
    const next = new Map<string, HeldInstance>();
    for (const instance of instances) next.set(instance.id, { instance, sinceMs: before.get(instance.id)?.sinceMs ?? nowMs, namedMs: nowMs, suspectUntilMs: null });
    for (const held of before.values()) {
      if (named.has(held.instance.id)) continue;
      const until = held.suspectUntilMs ?? kept.get(held.instance.id);
      if (until !== undefined && until > nowMs) next.set(held.instance.id, { ...held, suspectUntilMs: until });
    }
    this.#replace(next);
    return differs(before, this.#held);
  }

  /** Gives up suspects whose time is over; says whether there were any. */
  sweep(nowMs: number): boolean {
    this.#forget(nowMs);
    const before = this.#held.size;
    for (const [id, { suspectUntilMs }] of this.#held) if (suspectUntilMs !== null && suspectUntilMs <= nowMs) this.#held.delete(id);
    return this.#held.size !== before;
  }

  /** Until when each of those that vanished is kept; those that are believed to be gone are absent. */
  #keep(vanished: readonly HeldInstance[], nowMs: number): ReadonlyMap<string, number> {
    this.#forget(nowMs);
    const kept = new Map<string, number>();
    const whole = [...this.#held.values()].filter(({ suspectUntilMs }) => suspectUntilMs === null).length + this.#gone.length;
    const tooMany = vanished.length + this.#gone.length > whole * this.#limits.vanishingShareMax;
    for (const { instance } of vanished) {
      const flaps = this.#depart(instance.id, nowMs);
      if (tooMany) kept.set(instance.id, nowMs + this.#limits.suspectForMs);
      else if (flaps > this.#limits.flapsMax) kept.set(instance.id, nowMs + this.#limits.flapHoldMs);
      else this.#gone.push(nowMs);
    }
    return kept;
  }

  /** How often it has gone lately, this time included. */
  #depart(id: string, nowMs: number): number {
    const known = this.#departures.get(id) ?? { at: [], goneSince: nowMs };
    this.#departures.delete(id);
    known.goneSince = nowMs;
    known.at.push(nowMs);
    while (known.at.length > this.#limits.flapsMax + 1) known.at.shift();
    this.#departures.set(id, known);
    if (this.#departures.size > rememberedMax) for (const oldest of this.#departures.keys()) { this.#departures.delete(oldest); break; }
    return known.at.filter((at) => nowMs - at < this.#limits.flappingMs).length;
  }

  #forget(nowMs: number): void {
    this.#gone = this.#gone.filter((at) => nowMs - at < this.#limits.windowMs);
    for (const [id, { goneSince }] of this.#departures) if (nowMs - goneSince >= this.#limits.flappingMs) this.#departures.delete(id);
  }

  #replace(next: ReadonlyMap<string, HeldInstance>): void {
    this.#held = new Map([...next].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

function differs(a: ReadonlyMap<string, HeldInstance>, b: ReadonlyMap<string, HeldInstance>): boolean {
  if (a.size !== b.size) return true;
  for (const [id, one] of a) {
    const other = b.get(id);
    if (other === undefined || (one.suspectUntilMs === null) !== (other.suspectUntilMs === null)) return true;
    if (one.instance !== other.instance && JSON.stringify(one.instance) !== JSON.stringify(other.instance)) return true;
  }
  return false;
}
