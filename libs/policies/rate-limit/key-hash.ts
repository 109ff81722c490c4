/**
 * HalfSipHash-1-3 with 64 bits of output (Aumasson, Bernstein 2012), over UTF-16 units, two to a word. Keyed by a seed,
 * so that a client cannot choose keys that fall together. Parts are absorbed with their length, so that `a, bc` and
 * `ab, c` differ.
 */
export class KeyHash {
  /** The last result; `low` is never 0, which marks an empty cell. */
  high = 0;
  low = 0;
  readonly #k0: number;
  readonly #k1: number;
  #v0 = 0;
  #v1 = 0;
  #v2 = 0;
  #v3 = 0;

  constructor(k0: number, k1: number) {
    this.#k0 = k0 | 0;
    this.#k1 = k1 | 0;
  }

  start(): void {
    this.#v0 = this.#k0;
    this.#v1 = this.#k1 ^ 0xee;
    this.#v2 = 0x6c796765 ^ this.#k0;
    this.#v3 = 0x74656462 ^ this.#k1;
  }

  /** One part of a key; `tag` says which part it is. */
  add(tag: number, text: string): void {
    const { length } = text;
    this.#absorb((tag << 24) ^ length);
    let at = 0;
    for (; at + 1 < length; at += 2) this.#absorb(text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16));
    if (at < length) this.#absorb(text.charCodeAt(at));
  }

  finish(): void {
    this.#v2 ^= 0xee;
    this.#rounds(3);
    this.high = this.#v1 ^ this.#v3;
    this.#v1 ^= 0xdd;
    this.#rounds(3);
    this.low = (this.#v1 ^ this.#v3) | 1;
  }

  #absorb(word: number): void {
    this.#v3 ^= word;
    this.#rounds(1);
    this.#v0 ^= word;
  }

  #rounds(count: number): void {
    let v0 = this.#v0;
    let v1 = this.#v1;
    let v2 = this.#v2;
    let v3 = this.#v3;
    for (let i = 0; i < count; i += 1) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    this.#v0 = v0;
    this.#v1 = v1;
    this.#v2 = v2;
    this.#v3 = v3;
  }
}
