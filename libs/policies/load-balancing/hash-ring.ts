import { hashNumber, hashText } from '@remora/core/text-hash';

/** What has places on a ring. */
export interface RingMember {
  readonly address: string;
  readonly weight: number;
}

/** An order of members for each key: the first one that may be used gets it. */
export interface ConsistentTable {
  /** Member at a position; positions are walked from `start(hash)` on, and wrap. */
  memberAt(position: number): number;
  start(hash: number): number;
  readonly length: number;
}

/**
 * A ring of hashes (Karger): members have places by weight, a key belongs to the next place from its hash on. Where a member goes, only its keys move, to
 * whoever follows each of its places. `places`: of a member of weight 1, so that nobody's places depend on who else is there; where all together would have
 * more than 65,536, all have fewer.
 */
export class HashRing implements ConsistentTable {
  readonly #hashes: Uint32Array;
  readonly #members: Uint32Array;

  constructor(members: readonly RingMember[], places: number) {
    const all: number[] = [];
    const wanted = places * members.reduce((sum, { weight }) => sum + weight, 0);
    const perWeight = places * Math.min(1, placesMax / wanted);
    members.forEach(({ address, weight }, member) => {
      const base = hashText(address);
      const count = Math.max(1, Math.round(perWeight * weight));
      // One number holds both, so that sorting needs no comparison of objects: 32 bits of hash above 17 bits of member.
      for (let i = 0; i < count; i++) all.push(hashNumber(base, i) * memberSpan + member);
    });
    const sorted = Float64Array.from(all).sort();
    this.#hashes = Uint32Array.from(sorted, (place) => Math.floor(place / memberSpan));
    this.#members = Uint32Array.from(sorted, (place) => place % memberSpan);
  }

  get length(): number {
    return this.#hashes.length;
  }

  start(hash: number): number {
    const hashes = this.#hashes;
    let low = 0;
    let high = hashes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((hashes[middle] as number) < hash) low = middle + 1;
      else high = middle;
    }
    return low === hashes.length ? 0 : low;
  }

  memberAt(position: number): number {
    return this.#members[position % this.#members.length] as number;
  }
}

/** More members than a set of endpoints may have. */
const memberSpan = 2 ** 17;
/** Of all members: what is sorted in a few milliseconds. */
const placesMax = 65_536;
