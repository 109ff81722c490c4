/** Memory that a data thread has for request bodies that filters hold back: more is refused, and counted. */
export class HeldBytes {
  /** In use. */
  bytes = 0;
  readonly #max: number;
  readonly #refused: () => void;

  constructor(max: number, refused: () => void) {
    this.#max = max;
    this.#refused = refused;
  }

  take(bytes: number): boolean {
    if (this.bytes + bytes > this.#max) {
      this.#refused();
      return false;
    }
    this.bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.bytes -= bytes;
  }
}

/** Per data thread. Bodies wait as long as a client takes to send them, and whoever is asked about them to answer. */
export const heldBytesMax = 64 * 1_024 * 1_024;
