import { randomBytes } from 'node:crypto';
import type { SeriesRow } from '../records/series-rows.ts';
import type { TunnelEnd } from './tunnel.ts';
import { WebSocketMeter } from './web-socket-meter.ts';

/** `in`: from the client to the upstream. */
export type TunnelDirection = 'in' | 'out';

/** Who passes a half's bytes on. */
export interface TunnelCarrier {
  /** False: no more in this direction until the receiver takes more. */
  pass(direction: TunnelDirection, bytes: Uint8Array, at: number, to: number, end: boolean): boolean;
  /** Reads on from both sides, whoever said stop. */
  readOn(): void;
}

/** One direction of a tunnel: what one side says, until it ends, counted and passed to the other. */
export class TunnelHalf {
  bytes = 0;
  /** The side that speaks has ended. */
  ended = false;
  readonly #direction: TunnelDirection;
  readonly #carrier: TunnelCarrier;
  readonly #row: SeriesRow;
  /** Null: bytes of a protocol that nobody here follows. */
  readonly #meter: WebSocketMeter | null;
  /** The side that hears has had its last word: what still comes is dropped. */
  #closed = false;
  /** Why it is ended from here. */
  #end: TunnelEnd | null = null;

  constructor(direction: TunnelDirection, carrier: TunnelCarrier, row: SeriesRow, webSocket: boolean) {
    this.#direction = direction;
    this.#carrier = carrier;
    this.#row = row;
    this.#meter = webSocket ? new WebSocketMeter() : null;
  }

  get messages(): number {
    return this.#meter?.messages ?? 0;
  }

  /** Bytes have come; `pass` follows. */
  came(length: number, end: boolean): void {
    this.bytes += length;
    if (end) this.ended = true;
  }

  /** False: no more until the other side takes more. */
  pass(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    const { messages } = this;
    const more = this.#closed || this.#forward(bytes, at, to, end);
    this.#row.tunnelMoved(this.#direction, to - at, this.messages - messages);
    return more;
  }

  /** All of it; or, where the tunnel is ended, what belongs to the frame that is under way. */
  #forward(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    const stop = this.#end !== null;
    const passed = this.#meter?.feed(bytes, at, to, stop) ?? to;
    const closes = stop && this.#meter?.atBoundary === true;
    this.#closed = end && !closes;
    const more = this.#carrier.pass(this.#direction, bytes, at, passed, this.#closed);
    if (closes) this.#sayGoodbye();
    return more || this.#closed;
  }

  /** A WebSocket is ended from here: behind the frame that is under way comes our Close frame. */
  close(end: TunnelEnd): void {
    this.#end = end;
    if (this.#meter?.atBoundary === true) this.#sayGoodbye();
  }

  #sayGoodbye(): void {
    if (this.#closed || this.#end === null) return;
    this.#closed = true;
    const frame = closeFrame(this.#end.closeCode, this.#direction === 'in' ? randomBytes(4) : null);
    this.#carrier.pass(this.#direction, frame, 0, frame.length, true);
    // What its side still says is read to its goodbye, and dropped.
    this.#carrier.readOn();
  }
}

/** A Close frame; masked as a client's must be (RFC 6455 section 5.5.1). */
function closeFrame(code: number, mask: Uint8Array | null): Uint8Array {
  const status = [code >> 8, code & 0xff];
  if (mask === null) return Uint8Array.from([0x88, 2, ...status]);
  return Uint8Array.from([0x88, 0x82, ...mask, ...status.map((byte, i) => byte ^ (mask[i] as number))]);
}
