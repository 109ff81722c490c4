/**
 * What was built from a part of a snapshot, by a key that holds the hash of everything it was built from: the next generation shares it. An
 * entry that two generations in a row did not use is dropped.
 */
export class BuiltCache<T> {
  #recent = new Map<string, T>();
  #old = new Map<string, T>();

  get(key: string): T | undefined {
    const recent = this.#recent.get(key);
    if (recent !== undefined) return recent;
    const old = this.#old.get(key);
    if (old !== undefined) this.#recent.set(key, old);
    return old;
  }

  put(key: string, value: T): void {
    this.#recent.set(key, value);
  }

  /** A new generation begins. */
  age(): void {
    this.#old = this.#recent;
    this.#recent = new Map();
  }

  get size(): number {
    return this.#recent.size + this.#old.size;
  }
}
