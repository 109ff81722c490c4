/**
 * Path prefixes on segment borders, looked up without cutting strings: the hash of the path is computed once, and compared
 * at every border in an open-addressed table. Built once, then read only.
 */
export class PrefixIndex<T> {
  #mask = 7;
  #hashes = new Int32Array(8);
  /** Per slot: place in `#entries` + 1, 0 where it is free. */
  #slots = new Int32Array(8);
  readonly #entries: PrefixEntry<T>[] = [];
  #lengthMax = 0;

  get size(): number {
    return this.#entries.length;
  }

  /** Prefixes are without trailing slash; '' takes every path. */
  get(prefix: string): T | undefined {
    return this.#look(rawHash(prefix), prefix, prefix.length);
  }

  /** Adds a prefix that is not there. */
  set(prefix: string, value: T): void {
    if (this.#entries.length * 2 >= this.#mask) this.#grow();
    this.#insert(finish(rawHash(prefix)), this.#entries.push({ prefix, value }));
    this.#lengthMax = Math.max(this.#lengthMax, prefix.length);
  }

  /** Puts the values of all prefixes of `path` into `into`, the shortest first; answers how many. */
  find(path: string, into: T[]): number {
    if (this.#entries.length === 0 || path.charCodeAt(0) !== 0x2f) return 0;
    const end = Math.min(path.length, this.#lengthMax + 1);
    let found = 0;
    let hash = seed;
    for (let at = 0; at < end; at++) {
      const code = path.charCodeAt(at);
      if (code === 0x2f) {
        const value = this.#look(hash, path, at);
        if (value !== undefined) into[found++] = value;
      }
      hash = Math.imul(hash ^ code, 0x01000193);
    }
    if (end === path.length) {
      const value = this.#look(hash, path, end);
      if (value !== undefined) into[found++] = value;
    }
    return found;
  }

  #look(raw: number, path: string, length: number): T | undefined {
    const hash = finish(raw);
    for (let slot = hash & this.#mask; this.#slots[slot] !== 0; slot = (slot + 1) & this.#mask) {
      if (this.#hashes[slot] !== hash) continue;
      const entry = this.#at(slot);
      if (entry.prefix.length === length && path.startsWith(entry.prefix)) return entry.value;
    }
    return undefined;
  }

  #at(slot: number): PrefixEntry<T> {
    return this.#entries[(this.#slots[slot] as number) - 1] as PrefixEntry<T>;
  }

  #insert(hash: number, place: number): void {
    let slot = hash & this.#mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask;
    this.#slots[slot] = place;
    this.#hashes[slot] = hash;
  }

  /** Numbers only are moved: 10^5 entries take about a millisecond. */
  #grow(): void {
    const slots = this.#slots;
    const hashes = this.#hashes;
    this.#mask = slots.length * 2 - 1;
    this.#hashes = new Int32Array(slots.length * 2);
    this.#slots = new Int32Array(slots.length * 2);
    slots.forEach((place, slot) => {
      if (place !== 0) this.#insert(hashes[slot] as number, place);
    });
  }
}

interface PrefixEntry<T> {
  readonly prefix: string;
  readonly value: T;
}

const seed = 0x811c9dc5 | 0;

function rawHash(text: string): number {
  let hash = seed;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
}

/** FNV-1a leaves little in the low bits; the table uses them. */
function finish(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return mixed ^ (mixed >>> 13);
}
