import type { ConsistentTable, RingMember } from './hash-ring.ts';
import { hashText } from '@remora/core/text-hash';

/**
 * Google's Maglev table (Eisenbud et al., NSDI 2016, section 3.4): members take places in turn, each in an order of its own, those of more weight more often.
 * Shares are exact to one place, and a key is found in one step; when a member goes, a few keys of others move too. `size` is a prime above the number
 * of members.
 */
export class MaglevTable implements ConsistentTable {
  readonly #members: Uint32Array;

  constructor(members: readonly RingMember[], size: number) {
    const table = new Int32Array(size).fill(-1);
    const orders = members.map(({ address }) => ({ offset: hashText(address, 1) % size, skip: (hashText(address, 2) % (size - 1)) + 1, at: 0 }));
    const heaviest = Math.max(...members.map(({ weight }) => weight));
    const credit = new Float64Array(members.length);
    let filled = 0;
    for (let round = 1; filled < size; round++) {
      for (let member = 0; member < members.length && filled < size; member++) {
        // A member takes a place each time its share of the rounds reaches another whole one.
        if (((members[member] as RingMember).weight / heaviest) * round < (credit[member] as number) + 1) continue;
        credit[member] = Math.floor(((members[member] as RingMember).weight / heaviest) * round);
        const order = orders[member] as { offset: number; skip: number; at: number };
        let place: number;
        do place = (order.offset + order.at++ * order.skip) % size;
        while (table[place] !== -1);
        table[place] = member;
        filled++;
      }
    }
    this.#members = Uint32Array.from(table);
  }

  get length(): number {
    return this.#members.length;
  }

  start(hash: number): number {
    return hash % this.#members.length;
  }

  memberAt(position: number): number {
    return this.#members[position % this.#members.length] as number;
  }
}

/** Places of a table: about a hundred for each of 600 members, which keeps shares within one percent (Envoy's default). */
export const maglevSize = 65_537;
