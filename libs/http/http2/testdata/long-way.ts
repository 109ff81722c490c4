import type { SessionEnd } from './session-end.ts';

/** Bytes between two sessions that take their time, on a clock that only this moves: `oneWayMs` late, not more than `bytesPerMs` in each direction. */
export class LongWay {
  nowMs = 1000;
  readonly #ends: readonly [SessionEnd, SessionEnd];
  readonly #oneWayMs: number;
  readonly #bytesPerMs: number;
  readonly #lanes: readonly [Lane, Lane] = [{ under: [], freeAt: 0 }, { under: [], freeAt: 0 }];

  constructor(one: SessionEnd, other: SessionEnd, { oneWayMs, bytesPerMs }: { readonly oneWayMs: number; readonly bytesPerMs: number }) {
    this.#ends = [one, other];
    this.#oneWayMs = oneWayMs;
    this.#bytesPerMs = bytesPerMs;
  }

  /** One millisecond. `each` acts between what has come and what goes out. */
  step(each: () => void): void {
    this.nowMs++;
    for (const end of this.#ends) end.nowMs = this.nowMs;
    for (const [i, lane] of this.#lanes.entries()) {
      while ((lane.under[0]?.dueAt ?? Infinity) <= this.nowMs) this.#ends[1 - i]?.read(lane.under.shift()?.bytes ?? noBytes);
    }
    each();
    for (const [i, lane] of this.#lanes.entries()) {
      const bytes = this.#ends[i]?.output.take() ?? noBytes;
      for (let at = 0; at < bytes.length; at += pieceMax) {
        const piece = bytes.subarray(at, at + pieceMax);
        lane.freeAt = Math.max(lane.freeAt, this.nowMs) + piece.length / this.#bytesPerMs;
        lane.under.push({ dueAt: lane.freeAt + this.#oneWayMs, bytes: piece });
      }
    }
  }
}

interface Lane {
  readonly under: { readonly dueAt: number; readonly bytes: Uint8Array }[];
  freeAt: number;
}

const pieceMax = 16_384;
const noBytes = new Uint8Array(0);
