/** What active checks say of a host. */
export const hostHealth = { unchecked: 0, healthy: 1, unhealthy: 2 } as const;
export type HostHealth = (typeof hostHealth)[keyof typeof hostHealth];

/**
 * What all threads of a sidecar know of hosts, by slot. Health is written by the control thread (active checks), ejections by whoever decides them; each
 * field has one meaning, is one word, and is read without waiting. Times are monotonic milliseconds of the clock that all threads share.
 */
export class HostStates {
  readonly #words: Float64Array;

  /** `memory` of `HostStates.bytes()`. */
  constructor(memory: SharedArrayBuffer | ArrayBuffer) {
    this.#words = new Float64Array(memory);
  }

  static bytes(): number {
    return (hostSlotsMax + 1) * rowWords * Float64Array.BYTES_PER_ELEMENT;
  }

  health(slot: number): HostHealth {
    return this.#words[slot * rowWords + healthAt] as HostHealth;
  }

  setHealth(slot: number, health: HostHealth): void {
    if (slot !== noSlot) this.#words[slot * rowWords + healthAt] = health;
  }

  /** 0: not ejected. Infinity: until somebody takes it back. */
  ejectedUntil(slot: number): number {
    return this.#words[slot * rowWords + ejectedAt] as number;
  }

  setEjectedUntil(slot: number, untilMs: number): void {
    if (slot !== noSlot) this.#words[slot * rowWords + ejectedAt] = untilMs;
  }

  /** Times it was ejected without a long rest between: what the length of the next ejection follows. */
  ejections(slot: number): number {
    return this.#words[slot * rowWords + ejectionsAt] as number;
  }

  setEjections(slot: number, count: number): void {
    if (slot !== noSlot) this.#words[slot * rowWords + ejectionsAt] = count;
  }

  /** Until when somebody has taken the host out by hand (`remora eject`); 0: not. */
  takenOutUntil(slot: number): number {
    return this.#words[slot * rowWords + takenOutAt] as number;
  }

  setTakenOutUntil(slot: number, untilMs: number): void {
    if (slot !== noSlot) this.#words[slot * rowWords + takenOutAt] = untilMs;
  }

  /** For balancing: not unhealthy, not ejected, not taken out. */
  usable(slot: number, nowMs: number): boolean {
    const at = slot * rowWords;
    const words = this.#words;
    return words[at + healthAt] !== hostHealth.unhealthy && (words[at + ejectedAt] as number) <= nowMs && (words[at + takenOutAt] as number) <= nowMs;
  }

  /** The slot belongs to another host now. */
  clear(slot: number): void {
    this.#words.fill(0, slot * rowWords, (slot + 1) * rowWords);
  }
}

/** Hosts of one sidecar that have a row of their own. Those beyond share the row `noSlot`, of which nothing is ever known: they are balanced, and never ejected or checked. */
export const hostSlotsMax = 16_384;
export const noSlot = hostSlotsMax;

/** A cache line: rows of two hosts never share one. */
const rowWords = 8;
const healthAt = 0;
const ejectedAt = 1;
const ejectionsAt = 2;
const takenOutAt = 3;
