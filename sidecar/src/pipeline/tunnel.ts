import { reasons, type Reason } from '@remora/errors/reason';
import type { Answer } from '@remora/policy-kit/exchange';
import { WheelNode, type TimerWheels } from '../io/timer-wheel.ts';
import type { Turn } from '../io/turn.ts';
import type { SeriesRow } from '../records/series-rows.ts';
import { limitAnswer } from './answers.ts';
import { TunnelHalf, type TunnelCarrier } from './tunnel-half.ts';

/** The exchange whose bytes the tunnel carries. */
export interface TunnelOwner extends TunnelCarrier {
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
  readonly in: TunnelHalf;
  readonly out: TunnelHalf;
  readonly #owner: TunnelOwner;
  readonly #row: SeriesRow;
  readonly #wheels: TimerWheels;
  readonly #turn: Turn;
  readonly #limits: TunnelLimits;
  readonly #openedAt: number;
  #activeAt: number;
  /** Why it is ended from here, and since when both sides are only waited for. */
  #end: TunnelEnd | null = null;

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
    this.in = new TunnelHalf('in', owner, row, protocol === 'websocket');
    this.out = new TunnelHalf('out', owner, row, protocol === 'websocket');
    row.tunnelOpened();
    this.#armNext(this.#openedAt);
  }

  /** Bytes that one side sent, in the half that is its own. False: no more until the other side takes more. */
  carry(half: TunnelHalf, bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    half.came(to - at, end);
    this.#moved();
    const more = half.pass(bytes, at, to, end);
    if (this.in.ended && this.out.ended) this.#owner.tunnelOver();
    return more;
  }

  /** The bytes that break the limit still pass: they are counted when they have come. */
  #moved(): void {
    this.#activeAt = this.#turn.now();
    const { bytesMax } = this.#limits;
    if (this.#end === null && this.in.bytes + this.out.bytes > bytesMax) {
      this.#owner.endTunnel({ answer: limitAnswer(reasons.tunnelBytes, 'requestLimits', '/tunnelBytes', `at most ${bytesMax} bytes are carried`), closeCode: 1008 });
    }
  }

  // --- ended from here --------------------------------------------------------------------------------------------

  /**
   * Ends the tunnel. A WebSocket gets a Close frame on both sides, each behind the frame that is under way, and a second for its goodbye; what
   * speaks another protocol is reset, which nobody takes for an orderly end.
   */
  end(end: TunnelEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    if (this.protocol !== 'websocket') {
      this.#owner.cutTunnel(end.answer);
      return;
    }
    this.#wheels.arm(this, goodbyeMs);
    this.in.close(end);
    this.out.close(end);
  }

  /** Ended from here already. */
  get ending(): boolean {
    return this.#end !== null;
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

function expired(reason: Reason, pointer: string, ms: number): TunnelEnd {
  return { answer: limitAnswer(reason, 'timeout', pointer, `the limit of ${Math.round(ms)} ms has passed`), closeCode: 1001 };
}

const goodbyeMs = 1000;
