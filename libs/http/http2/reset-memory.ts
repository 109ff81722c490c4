/**
 * Streams that were reset lately. What the peer sent before it saw our RST_STREAM is ignored; what it sends after its own is an error (RFC 9113
 * section 5.1). Remembers `remembered` of them; about older ones of ours it is lenient.
 */
export class ResetMemory {
  #ids: Int32Array = none;
  #ours: Uint8Array = noFlags;
  #next = 0;
  /** Streams up to this may have been reset by us and forgotten. */
  #forgottenTo = 0;

  add(streamId: number, ours: boolean): void {
    if (this.#ids === none) {
      this.#ids = new Int32Array(remembered);
      this.#ours = new Uint8Array(remembered);
    }
    const slot = this.#next++ & (remembered - 1);
    if (this.#ours[slot] === 1) this.#forgottenTo = Math.max(this.#forgottenTo, this.#ids[slot] as number);
    this.#ids[slot] = streamId;
    this.#ours[slot] = ours ? 1 : 0;
  }

  /** Frames of this closed stream may still be on their way. */
  ignores(streamId: number): boolean {
    for (let i = 0; i < this.#ids.length; i++) if (this.#ids[i] === streamId) return this.#ours[i] === 1;
    return streamId <= this.#forgottenTo;
  }
}

/** A power of two. */
const remembered = 128;
const none = new Int32Array(0);
const noFlags = new Uint8Array(0);
