/**
 * Path prefixes on segment borders, looked up without cutting strings: the hash of the path is computed once, and compared
 * at every border in an open-addressed table. Built once, then read only.
 */
export class PrefixIndex<T> {
  #mask = 7;
  #hashes = new Int32Array(8);
  #slots: (PrefixEntry<T> | undefined)[] = Array.from({ length: 8 });
  #size = 0;
  #lengthMax = 0;

  get size(): number {
    return this.#size;
  }

  /** The value of a prefix (without trailing slash; '' takes every path), made where there is none. */
  entry(prefix: string, make: () => T): T {
    const hash = hashOf(prefix);
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const entry = this.#slots[slot];
      if (entry === undefined) break;
      if (this.#hashes[slot] === hash && entry.prefix === prefix) return entry.value;
    }
    if (this.#size * 2 >= this.#mask) this.#grow();
    const value = make();
    this.#insert(hash, { prefix, value });
    this.#size += 1;
    this.#lengthMax = Math.max(this.#lengthMax, prefix.length);
    return value;
  }

  /** Puts the values of all prefixes of `path` into `into`, the shortest first; answers how many. */
  find(path: string, into: T[]): number {
    if (this.#size === 0 || path.charCodeAt(0) !== 0x2f) return 0;
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
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const entry = this.#slots[slot];
      if (entry === undefined) return undefined;
      if (this.#hashes[slot] === hash && entry.prefix.length === length && path.startsWith(entry.prefix)) return entry.value;
    }
  }

  #insert(hash: number, entry: PrefixEntry<T>): void {
    let slot = hash & this.#mask;
    while (this.#slots[slot] !== undefined) slot = (slot + 1) & this.#mask;
    this.#slots[slot] = entry;
    this.#hashes[slot] = hash;
  }

  #grow(): void {
    const slots = this.#slots;
    const hashes = this.#hashes;
    const capacity = slots.length * 2;
    this.#mask = capacity - 1;
    this.#hashes = new Int32Array(capacity);
    this.#slots = Array.from({ length: capacity });
    slots.forEach((entry, slot) => {
      if (entry !== undefined) this.#insert(hashes[slot] ?? 0, entry);
    });
  }
}

interface PrefixEntry<T> {
  readonly prefix: string;
  readonly value: T;
}

const seed = 0x811c9dc5 | 0;

function hashOf(text: string): number {
  let hash = seed;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return finish(hash);
}

/** FNV-1a leaves little in the low bits; the table uses them. */
function finish(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return mixed ^ (mixed >>> 13);
}
