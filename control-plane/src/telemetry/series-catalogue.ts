/** Who did what: the identity of a series. */
export interface SeriesIdentity {
  readonly nodeId: string;
  /** `service/orders`. */
  readonly subject: string;
  readonly side: string;
  readonly route: string;
  readonly destination: string;
  /** Labels of the target that a Route chose; '': among all instances. */
  readonly target: string;
}

interface Known {
  readonly id: number;
  readonly identity: SeriesIdentity;
  usedMs: number;
  active: number;
}

/**
 * Numbers for series. Bounded: beyond, the series of a subject fall into one overflow series of that subject and side, so
 * that totals stay right. A number is given back when its series was not used for as long as history is kept.
 */
export class SeriesCatalogue {
  readonly #max: number;
  readonly #keepMs: number;
  readonly #byKey = new Map<string, Known>();
  readonly #byId: (Known | undefined)[] = [];
  readonly #free: number[] = [];
  overflowed = 0;

  constructor(options: { readonly max: number; readonly keepMs: number }) {
    this.#max = options.max;
    this.#keepMs = options.keepMs;
  }

  get size(): number {
    return this.#byKey.size;
  }

  idOf(identity: SeriesIdentity, active: number, nowMs: number): number {
    const known = this.#find(identity) ?? this.#add(identity, nowMs);
    known.usedMs = nowMs;
    known.active = active;
    return known.id;
  }

  identity(id: number): SeriesIdentity | undefined {
    return this.#byId[id]?.identity;
  }

  /** Requests in progress at the last report; 0 where that is longer ago than `freshMs`. */
  active(id: number, nowMs: number, freshMs: number): number {
    const known = this.#byId[id];
    return known && nowMs - known.usedMs <= freshMs ? known.active : 0;
  }

  ids(): number[] {
    return [...this.#byKey.values()].map(({ id }) => id);
  }

  forgetUnused(nowMs: number): void {
    for (const [key, known] of this.#byKey) {
      if (nowMs - known.usedMs <= this.#keepMs) continue;
      this.#byKey.delete(key);
      this.#byId[known.id] = undefined;
      this.#free.push(known.id);
    }
  }

  #find(identity: SeriesIdentity): Known | undefined {
    return this.#byKey.get(keyOf(identity));
  }

  #add(identity: SeriesIdentity, nowMs: number): Known {
    if (this.#byKey.size >= this.#max && identity.route !== overflow) {
      this.overflowed++;
      const shared = { nodeId: overflow, subject: identity.subject, side: identity.side, route: overflow, destination: '', target: '' };
      return this.#find(shared) ?? this.#add(shared, nowMs);
    }
    const known: Known = { id: this.#free.pop() ?? this.#byId.length, identity, usedMs: nowMs, active: 0 };
    this.#byKey.set(keyOf(identity), known);
    this.#byId[known.id] = known;
    return known;
  }
}

/** As in the sidecars' own reports: what is beyond the bound of series. */
export const overflow = '_overflow';

function keyOf({ nodeId, subject, side, route, destination, target }: SeriesIdentity): string {
  return JSON.stringify([nodeId, subject, side, route, destination, target]);
}
