/**
 * Follows the frames of one direction of a WebSocket (RFC 6455 section 5.2) without keeping any of them: counts messages, and knows where a
 * frame ends, the only place where one of ours may stand.
 */
export class WebSocketMeter {
  /** Data messages that have come whole; control frames are none. */
  messages = 0;
  #phase: Phase = first;
  /** FIN of a data frame: its end is the end of a message. */
  #endsMessage = false;
  /** Bytes of the extended length that are missing. */
  #lengthBytes = 0;
  #maskBytes = 0;
  #payload = 0;

  /** Between two frames. */
  get atBoundary(): boolean {
    return this.#phase === first;
  }

  /** Follows `bytes[at, to)`. Answers `to`, or with `stop` the end of the first frame that ends in them. */
  feed(bytes: Uint8Array, at: number, to: number, stop: boolean): number {
    let position = at;
    while (position < to) {
      if (this.#phase === payload) {
        const part = Math.min(this.#payload, to - position);
        position += part;
        this.#payload -= part;
      } else this.#header(bytes[position++] as number);
      if (this.#phase !== payload || this.#payload > 0) continue;
      this.#phase = first;
      if (this.#endsMessage) this.messages++;
      if (stop) return position;
    }
    return position;
  }

  #header(byte: number): void {
    switch (this.#phase) {
      case first:
        this.#endsMessage = (byte & 0x80) !== 0 && (byte & 0x08) === 0;
        this.#phase = second;
        return;
      case second:
        this.#payload = byte & 0x7f;
        this.#maskBytes = byte >= 0x80 ? 4 : 0;
        this.#lengthBytes = this.#payload === 127 ? 8 : this.#payload === 126 ? 2 : 0;
        if (this.#lengthBytes > 0) this.#payload = 0;
        break;
      case length:
        this.#payload = this.#payload * 256 + byte;
        this.#lengthBytes--;
        break;
      case mask:
        this.#maskBytes--;
        break;
      case payload:
        return;
    }
    this.#phase = this.#lengthBytes > 0 ? length : this.#maskBytes > 0 ? mask : payload;
  }
}

type Phase = typeof first | typeof second | typeof length | typeof mask | typeof payload;
const first = 0;
const second = 1;
const length = 2;
const mask = 3;
const payload = 4;
