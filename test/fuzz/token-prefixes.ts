/**
 * First halves of tokens, another one for each run of a case, in an order that follows from nothing else. Four digits twice: bytes that a mutation changes in
 * one place never make the token of somebody else who runs beside it.
 */
export class TokenPrefixes {
  #next = 0;

  next(): string {
    // Below 0x8000: generated bodies hold tokens of `d` and `e` that nobody may have.
    this.#next = (this.#next + 1) & 0x7fff;
    return this.#next.toString(16).padStart(4, '0').repeat(2);
  }
}
