/**
 * Serves marked streams a few at a time, so that a push to thousands never holds the event loop for long. Marking twice
 * costs nothing.
 */
export class FanOut<T> {
  readonly #marked = new Set<T>();
  readonly #serve: (item: T) => void;
  readonly #soon: (run: () => void) => void;
  readonly #perTurn: number;
  #scheduled = false;

  /** `soon` runs something in a later turn of the event loop. */
  constructor(deps: { readonly serve: (item: T) => void; readonly soon: (run: () => void) => void; readonly perTurn: number }) {
    this.#serve = deps.serve;
    this.#soon = deps.soon;
    this.#perTurn = deps.perTurn;
  }

  get size(): number {
    return this.#marked.size;
  }

  mark(item: T): void {
    this.#marked.add(item);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#soon(() => this.#turn());
  }

  forget(item: T): void {
    this.#marked.delete(item);
  }

  #turn(): void {
    let left = this.#perTurn;
    for (const item of this.#marked) {
      if (left-- === 0) break;
      this.#marked.delete(item);
      this.#serve(item);
    }
    this.#scheduled = this.#marked.size > 0;
    if (this.#scheduled) this.#soon(() => this.#turn());
  }
}
