import { asText } from '@remora/http/byte-text';
import { parseGrpcStatus } from '@remora/http/grpc-status';

/**
 * Follows the frames of a gRPC-Web response (PROTOCOL-WEB.md of gRPC) without keeping messages: knows where one ends, and reads the status from the
 * frame of trailers that ends the body. `text`: it comes in base64.
 */
export class GrpcWebMeter {
  readonly text: boolean;
  /** What the trailers said; -1: they have not come, or are compressed. */
  status = -1;
  /** Bytes of the frame's head that have come. */
  #headBytes = 0;
  #flag = 0;
  #left = 0;
  #ended = false;
  #trailers = '';
  /** Base64: characters of the group that is under way, and their bits. */
  #chars = 0;
  #bits = 0;

  constructor(text: boolean) {
    this.text = text;
  }

  /** Between two frames, the last of which was a message: another one may follow. */
  get atBoundary(): boolean {
    return this.#headBytes === 0 && this.#chars === 0 && !this.#ended;
  }

  feed(bytes: Uint8Array, at: number, to: number): void {
    if (!this.text) {
      this.#follow(bytes, at, to);
      return;
    }
    for (let from = at; from < to; from += pieceMax) this.#follow(decoded, 0, this.#decode(bytes, from, Math.min(to, from + pieceMax)));
  }

  #follow(bytes: Uint8Array, at: number, to: number): void {
    let position = at;
    while (position < to && !this.#ended) {
      if (this.#headBytes < headLength) {
        this.#head(bytes[position++] as number);
        if (this.#headBytes < headLength || this.#left > 0) continue;
      } else {
        const part = Math.min(this.#left, to - position);
        if (this.#flag === trailersFlag) this.#trailers += asText(bytes).latin1Slice(position, position + Math.min(part, trailersMax - this.#trailers.length));
        position += part;
        this.#left -= part;
        if (this.#left > 0) continue;
      }
      this.#frameEnded();
    }
  }

  #head(byte: number): void {
    if (this.#headBytes === 0) this.#flag = byte;
    this.#left = this.#headBytes === 0 ? 0 : this.#left * 256 + byte;
    this.#headBytes++;
  }

  #frameEnded(): void {
    this.#headBytes = 0;
    if ((this.#flag & trailersFlag) === 0) return;
    this.#ended = true;
    const status = /(?:^|\r\n)grpc-status: ?(\d{1,3})(?:\r\n|$)/i.exec(this.#trailers)?.[1];
    if (status !== undefined) this.status = parseGrpcStatus(status);
    this.#trailers = '';
  }

  /** Into `decoded`; answers how many bytes. Padding may stand behind every message, for each may be encoded by itself. */
  #decode(bytes: Uint8Array, at: number, to: number): number {
    let length = 0;
    for (let i = at; i < to; i++) {
      const value = base64Values[bytes[i] as number] as number;
      if (value < 0) {
        this.#chars = (this.#chars + 1) % 4;
        continue;
      }
      this.#bits = ((this.#bits << 6) | value) & 0xffffff;
      const char = this.#chars;
      this.#chars = (char + 1) % 4;
      if (char > 0) decoded[length++] = (this.#bits >> (6 - 2 * char)) & 0xff;
    }
    return length;
  }
}

/** Of a frame's first byte: trailers, not a message. */
export const trailersFlag = 0x80;
const headLength = 5;
const trailersMax = 4096;
const pieceMax = 4096;
/** Filled and read within one call. */
const decoded = Buffer.alloc(pieceMax);
/** By character; -1: padding, and what is none. */
const base64Values = new Int8Array(256).fill(-1);
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
for (let i = 0; i < alphabet.length; i++) base64Values[alphabet.charCodeAt(i)] = i;
