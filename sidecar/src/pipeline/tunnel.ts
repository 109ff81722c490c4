import { randomBytes } from 'node:crypto';
import { reasons, type Reason } from '@remora/errors/reason';
import type { Answer } from '@remora/policy-kit/exchange';
import { WheelNode, type TimerWheels } from '../io/timer-wheel.ts';
import type { Turn } from '../io/turn.ts';
import type { SeriesRow } from '../records/series-rows.ts';
import { limitAnswer } from './answers.ts';
import { WebSocketMeter } from './web-socket-meter.ts';

/** The exchange whose bytes the tunnel carries. */
export interface TunnelOwner {
  /** False: no more of the client's bytes until `Source.resume`. */
  toUpstream(bytes: Uint8Array, at: number, to: number, end: boolean): boolean;
  /** False: no more of the upstream's bytes until `writable`. */
  toClient(bytes: Uint8Array, at: number, to: number, end: boolean): boolean;
  /** Reads on from both sides, whoever said stop. */
  readOn(): void;
  /** Ends it because of a limit: `Tunnel.end` follows. */
  endTunnel(end: TunnelEnd): void;
  /** Both sides have ended. */
  tunnelOver(): void;
  /** Breaks both sides off. */
  cutTunnel(answer: Answer): void;
}

export interface TunnelParts {
  readonly owner: TunnelOwner;
  /** `websocket`: messages are counted, and our end is one that both sides understand. */
  readonly protocol: string;
  readonly row: SeriesRow;
  readonly wheels: TimerWheels;
  readonly turn: Turn;
  readonly limits: TunnelLimits;
}

export interface TunnelLimits {
  /** Silence in both directions, in milliseconds; 0: none. */
  readonly idleMs: number;
  /** Its whole life, in milliseconds; 0: none. */
  readonly maxMs: number;
  /** Of both directions together. */
  readonly bytesMax: number;
}

/**
 * What an exchange is after a switch of protocols, and a TCP connection once it is made: two directions of bytes, each ending on its own. Counts
 * them as they pass, and can be ended from here.
 */
export class Tunnel extends WheelNode {
  readonly protocol: string;
  bytesIn = 0;
  bytesOut = 0;
  readonly #owner: TunnelOwner;
  readonly #row: SeriesRow;
  readonly #wheels: TimerWheels;
  readonly #turn: Turn;
  readonly #limits: TunnelLimits;
  readonly #openedAt: number;
  #activeAt: number;
  readonly #in: WebSocketMeter | null;
  readonly #out: WebSocketMeter | null;
  #clientEnded = false;
  #upstreamEnded = false;
  /** Why it is ended from here, and since when both sides are only waited for. */
  #end: TunnelEnd | null = null;
  #toUpstreamClosed = false;
  #toClientClosed = false;

  constructor({ owner, protocol, row, wheels, turn, limits }: TunnelParts) {
    super();
    this.#owner = owner;
    this.protocol = protocol;
    this.#row = row;
    this.#wheels = wheels;
    this.#turn = turn;
    this.#limits = limits;
    this.#openedAt = turn.now();
    this.#activeAt = this.#openedAt;
    this.#in = protocol === 'websocket' ? new WebSocketMeter() : null;
    this.#out = protocol === 'websocket' ? new WebSocketMeter() : null;
    row.tunnelOpened();
    this.#armNext(this.#openedAt);
  }

  get messagesIn(): number {
    return this.#in?.messages ?? 0;
  }

  get messagesOut(): number {
    return this.#out?.messages ?? 0;
  }

  // --- the two directions -----------------------------------------------------------------------------------------

  fromClient(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (end) this.#clientEnded = true;
    this.bytesIn += to - at;
    this.#moved();
    const messages = this.messagesIn;
    const more = this.#toUpstreamClosed || this.#passToUpstream(bytes, at, to, end);
    this.#row.tunnelIn(to - at, this.messagesIn - messages);
    this.#over();
    return more;
  }

  /** All of it; or, where the tunnel is ended, what belongs to the frame that is under way. */
  #passToUpstream(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    const stop = this.#end !== null;
    const passed = this.#in?.feed(bytes, at, to, stop) ?? to;
    const closes = stop && this.#in?.atBoundary === true;
    this.#toUpstreamClosed = end && !closes;
    const more = this.#owner.toUpstream(bytes, at, passed, this.#toUpstreamClosed);
    if (closes) this.#closeUpstream();
    return more || this.#toUpstreamClosed;
  }

  fromUpstream(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (end) this.#upstreamEnded = true;
    this.bytesOut += to - at;
    this.#moved();
    const messages = this.messagesOut;
    const more = this.#toClientClosed || this.#passToClient(bytes, at, to, end);
    this.#row.tunnelOut(to - at, this.messagesOut - messages);
    this.#over();
    return more;
  }

  #passToClient(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    const stop = this.#end !== null;
    const passed = this.#out?.feed(bytes, at, to, stop) ?? to;
    const closes = stop && this.#out?.atBoundary === true;
    this.#toClientClosed = end && !closes;
    const more = this.#owner.toClient(bytes, at, passed, this.#toClientClosed);
    if (closes) this.#closeClient();
    return more || this.#toClientClosed;
  }

  /** The bytes that break the limit still pass: they are counted when they have come. */
  #moved(): void {
    this.#activeAt = this.#turn.now();
    const { bytesMax } = this.#limits;
    if (this.#end === null && this.bytesIn + this.bytesOut > bytesMax) {
      this.#owner.endTunnel({ answer: limitAnswer(reasons.tunnelBytes, 'requestLimits', '/tunnelBytes', `at most ${bytesMax} bytes are carried`), closeCode: 1008 });
    }
  }

  #over(): void {
    if (this.#clientEnded && this.#upstreamEnded) this.#owner.tunnelOver();
  }

  // --- ended from here --------------------------------------------------------------------------------------------

  /**
   * Ends the tunnel. A WebSocket gets a Close frame on both sides, each behind the frame that is under way, and a second for its goodbye; what
   * speaks another protocol is reset, which nobody takes for an orderly end.
   */
  end(end: TunnelEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    if (this.#in === null || this.#out === null) {
      this.#owner.cutTunnel(end.answer);
      return;
    }
    this.#wheels.arm(this, goodbyeMs);
    if (this.#in.atBoundary) this.#closeUpstream();
    if (this.#out.atBoundary) this.#closeClient();
  }

  /** Ended from here already. */
  get ending(): boolean {
    return this.#end !== null;
  }

  #closeUpstream(): void {
    if (this.#toUpstreamClosed || this.#end === null) return;
    this.#toUpstreamClosed = true;
    const frame = closeFrame(this.#end.closeCode, randomBytes(4));
    this.#owner.toUpstream(frame, 0, frame.length, true);
    // What the client still says is read to its goodbye, and dropped.
    this.#owner.readOn();
  }

  #closeClient(): void {
    if (this.#toClientClosed || this.#end === null) return;
    this.#toClientClosed = true;
    const frame = closeFrame(this.#end.closeCode, null);
    this.#owner.toClient(frame, 0, frame.length, true);
    this.#owner.readOn();
  }

  // --- time -------------------------------------------------------------------------------------------------------

  #armNext(now: number): void {
    const { idleMs, maxMs } = this.#limits;
    const at = Math.min(idleMs > 0 ? this.#activeAt + idleMs : Infinity, maxMs > 0 ? this.#openedAt + maxMs : Infinity);
    if (at < Infinity) this.#wheels.arm(this, Math.max(0, at - now));
  }

  fire(): void {
    if (this.#end !== null) {
      // Somebody did not say goodbye.
      this.#owner.cutTunnel(this.#end.answer);
      return;
    }
    const now = this.#turn.now();
    const { idleMs, maxMs } = this.#limits;
    if (maxMs > 0 && now >= this.#openedAt + maxMs) this.#owner.endTunnel(expired(reasons.maxStream, '/maxStream', maxMs));
    else if (idleMs > 0 && now >= this.#activeAt + idleMs) this.#owner.endTunnel(expired(reasons.streamIdle, '/tunnelIdle', idleMs));
    else this.#armNext(now);
  }

  /** The exchange has ended, however it did. */
  closed(): void {
    this.#wheels.cancel(this);
    this.#row.tunnelClosed();
  }
}

export interface TunnelEnd {
  readonly answer: Answer;
  /** Of the WebSocket Close frame (RFC 6455 section 7.4.1). */
  readonly closeCode: 1001 | 1008 | 1012;
}

/** A Close frame; masked as a client's must be (RFC 6455 section 5.5.1). */
function closeFrame(code: number, mask: Uint8Array | null): Uint8Array {
  const status = [code >> 8, code & 0xff];
  if (mask === null) return Uint8Array.from([0x88, 2, ...status]);
  return Uint8Array.from([0x88, 0x82, ...mask, ...status.map((byte, i) => byte ^ (mask[i] as number))]);
}

function expired(reason: Reason, pointer: string, ms: number): TunnelEnd {
  return { answer: limitAnswer(reason, 'timeout', pointer, `the limit of ${Math.round(ms)} ms has passed`), closeCode: 1001 };
}

const goodbyeMs = 1000;
