import type { Http2Stream } from './http2-stream.ts';

/**
 * The open streams of a session, by id. Not a Map: that makes a new table whenever its last entry goes, and every table it had refers to the next one. Once one
 * of them is old, all that follow are kept by it, and the garbage of each request is copied twice before a full collection takes it.
 */
export class StreamTable {
  size = 0;
  /** Open addressing, at most half full; a power of two long. */
  #slots: (Http2Stream | null)[] = [null, null, null, null];
  #mask = 3;

  get(id: number): Http2Stream | undefined {
    return this.#slots[this.#find(id)] ?? undefined;
  }

  /** No stream with its id may be there. */
  add(stream: Http2Stream): void {
    if ((this.size + 1) * 2 > this.#slots.length) this.#grow();
    this.#slots[this.#find(stream.id)] = stream;
    this.size++;
  }

  delete(id: number): void {
    const slots = this.#slots;
    let hole = this.#find(id);
    if (slots[hole] === null) return;
    this.size--;
    // What was put behind it because its own place was taken moves up.
    for (let at = (hole + 1) & this.#mask; ; at = (at + 1) & this.#mask) {
      const stream = slots[at] as Http2Stream | null;
      if (stream === null) break;
      const displaced = (at - placeOf(stream.id)) & this.#mask;
      if (displaced < ((at - hole) & this.#mask)) continue;
      slots[hole] = stream;
      hole = at;
    }
    slots[hole] = null;
  }

  /** Those that are open now, in the order of their ids: a list that stays as it is whatever happens to them. */
  list(): Http2Stream[] {
    return this.#slots.filter((stream) => stream !== null).sort((a, b) => a.id - b.id);
  }

  /** Where the stream is, or else the first free place for it. */
  #find(id: number): number {
    const slots = this.#slots;
    let at = placeOf(id) & this.#mask;
    for (let stream = slots[at] as Http2Stream | null; stream !== null && stream.id !== id; stream = slots[at] as Http2Stream | null) at = (at + 1) & this.#mask;
    return at;
  }

  #grow(): void {
    const streams = this.#slots;
    this.#slots = Array.from({ length: streams.length * 2 }, () => null);
    this.#mask = this.#slots.length - 1;
    for (const stream of streams) if (stream !== null) this.#slots[this.#find(stream.id)] = stream;
  }
}

/** All ids of one session are odd. */
function placeOf(id: number): number {
  return id >>> 1;
}
