import { isLapsing, type LiveState } from '@remora/policy-kit/runtime-kind';

/**
 * Live state (buckets, windows) by owner key. A generation that is being built collects the keys it uses; state whose key no generation uses
 * any more is dropped. A key kept with another shape starts anew: generations that still run on the old keep their object.
 */
export class LiveStates {
  readonly #entries = new Map<string, LiveEntry>();

  /** What filters of one generation see; `keys` collects what they used. */
  collector(keys: Set<string>): LiveState {
    return {
      keep: <T>(key: string, shape: string, make: () => T): T => {
        const id = `${key}\0${shape}`;
        keys.add(id);
        const known = this.#entries.get(id);
        if (known !== undefined) return known.value as T;
        const value = make();
        this.#entries.set(id, { value, users: 0 });
        return value;
      },
    };
  }

  /** A generation starts to use its keys. */
  retain(keys: ReadonlySet<string>): void {
    for (const key of keys) {
      const entry = this.#entries.get(key);
      if (entry !== undefined) entry.users++;
    }
  }

  release(keys: ReadonlySet<string>): void {
    for (const key of keys) {
      const entry = this.#entries.get(key);
      if (entry !== undefined && --entry.users <= 0) this.#drop(key, entry);
    }
  }

  /** Drops what a discarded candidate made and nobody uses. */
  sweep(): void {
    for (const [key, entry] of this.#entries) if (entry.users <= 0) this.#drop(key, entry);
  }

  /** Nothing comes any more that would use it: what it holds of others goes back. */
  lapse(): void {
    for (const [key, entry] of this.#entries) this.#drop(key, entry);
  }

  #drop(key: string, { value }: LiveEntry): void {
    this.#entries.delete(key);
    if (isLapsing(value)) value.lapse();
  }

  /** What follows `prefix` in the keys that begin with it, shape included. */
  keysUnder(prefix: string): string[] {
    return [...this.#entries.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
  }

  get size(): number {
    return this.#entries.size;
  }
}

interface LiveEntry {
  readonly value: unknown;
  users: number;
}
