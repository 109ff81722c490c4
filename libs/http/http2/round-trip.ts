/** How long the way to the peer and back takes, by PING, asked only while long bodies come in. A peer that does not answer loses nothing but room to grow. */
export class RoundTrip {
  /** The shortest of the last minute, in milliseconds: longer ones had to queue. Infinity: not known yet. */
  ms = Infinity;
  #shortestAt = 0;
  #askedAt = -1;
  #answeredAt = -Infinity;

  /** Time for another PING, whose payload is `roundTripPing`: it counts as sent. */
  asks(now: number): boolean {
    if (this.#askedAt >= 0 || now < this.#answeredAt + againMs) return false;
    this.#askedAt = now;
    return true;
  }

  /** False: no answer to a PING of ours. */
  answered(payload: Uint8Array, at: number, now: number): boolean {
    for (let i = 0; i < 8; i++) if (payload[at + i] !== roundTripPing[i]) return false;
    if (this.#askedAt < 0) return true;
    const ms = now - this.#askedAt;
    this.#askedAt = -1;
    this.#answeredAt = now;
    if (ms > this.ms && now < this.#shortestAt + memoryMs) return true;
    this.ms = ms;
    this.#shortestAt = now;
    return true;
  }
}

/** Another one than those of the session's clock, which are signs of life. */
export const roundTripPing: Uint8Array = Buffer.from('rmrtrip\0', 'latin1');
const againMs = 10_000;
const memoryMs = 60_000;
