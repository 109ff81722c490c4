/**
 * A map of what was asked for lately: `age` begins a generation, and what nobody asks for during a whole one goes. Forgetting costs time or
 * a second copy of equal content, never correctness.
 */
export class AgingMap<V> {
  readonly #entriesMax: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();

  /** A generation that is full ends by itself: at most twice `entriesMax` are kept. Infinity: only `age` ends one. */
  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get(key: string): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.put(key, old);
    return old;
  }

  put(key: string, value: V): void {
    if (this.#young.size >= this.#entriesMax) this.age();
    this.#young.set(key, value);
  }

  age(): void {
    this.#old = this.#young;
    this.#young = new Map();
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
