/**
 * What filters and listeners must know beside the snapshot, and what changes without one: keys of issuers, credentials of consumers, values of
 * secrets, roots of trust, revocations. By kind and name; a body is whatever its kind says. Written by the control thread of a sidecar, the same in
 * all its data threads.
 */
export interface FactBook {
  /** Grows with each change: who decoded facts does it again when this moved. 0: nothing ever came. */
  readonly version: number;
  get(name: string): Uint8Array | undefined;
  /** In no order. */
  names(): Iterable<string>;
}

export interface FactUpdate {
  readonly kind: string;
  /** Names that `facts` does not have are dropped. */
  readonly full: boolean;
  /** Each replaces what was there under its name; null removes it. */
  readonly facts: ReadonlyMap<string, Uint8Array | null>;
}

/** The books of one thread. */
export class FactBooks {
  readonly #books = new Map<string, Book>();

  /** The same object for as long as the thread lives, whether or not something was written. */
  of(kind: string): FactBook {
    return this.#book(kind);
  }

  apply({ kind, full, facts }: FactUpdate): void {
    this.#book(kind).apply(full, facts);
  }

  /** Everything that is known, as updates for a thread that knows nothing. */
  all(): FactUpdate[] {
    return [...this.#books].filter(([, { version }]) => version > 0).map(([kind, book]) => ({ kind, full: true, facts: new Map(book.entries()) }));
  }

  #book(kind: string): Book {
    let book = this.#books.get(kind);
    if (book === undefined) this.#books.set(kind, book = new Book());
    return book;
  }
}

class Book implements FactBook {
  version = 0;
  readonly #facts = new Map<string, Uint8Array>();

  get(name: string): Uint8Array | undefined {
    return this.#facts.get(name);
  }

  names(): Iterable<string> {
    return this.#facts.keys();
  }

  entries(): Iterable<[string, Uint8Array]> {
    return this.#facts.entries();
  }

  apply(full: boolean, facts: FactUpdate['facts']): void {
    if (full) for (const name of this.#facts.keys()) if (!facts.has(name)) this.#facts.delete(name);
    for (const [name, body] of facts) {
      if (body === null) this.#facts.delete(name);
      else this.#facts.set(name, body);
    }
    this.version++;
  }
}
