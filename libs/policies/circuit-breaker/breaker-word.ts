/**
 * What a breaker is, in one word of 64 bits, so that every change of it is one compare-and-swap. The lower half tells apart everything that was ever decided
 * in it: it is the ticket of the calls that are let through, and what they report is taken only while it is the same.
 */
export interface BreakerWord {
  readonly state: BreakerState;
  /** Times it opened since it was last closed, at most 15: what the length of an opening follows. */
  readonly opens: number;
  /** Changes with each change; goes round after 67 million. */
  readonly epoch: number;
  /** Ticks of 16 ms, modulo 2^32. Open: until when; half-open: when its probes are given up. */
  readonly untilTick: number;
}

export const breakerStates = { closed: 0, open: 1, halfOpen: 2 } as const;
export type BreakerState = (typeof breakerStates)[keyof typeof breakerStates];

export const opensMax = 15;

export function stateOf(ticket: number): BreakerState {
  return (ticket & 3) as BreakerState;
}

export function opensOf(ticket: number): number {
  return (ticket >>> 2) & opensMax;
}

export function epochOf(ticket: number): number {
  return ticket >>> 6;
}

/** Signed, as memory has it. */
export function ticketOf({ state, opens, epoch }: Omit<BreakerWord, 'untilTick'>): number {
  return (epoch << 6) | (opens << 2) | state;
}

export function packWord(word: BreakerWord): bigint {
  return (BigInt(word.untilTick >>> 0) << 32n) | BigInt(ticketOf(word) >>> 0);
}

export function ticketIn(packed: bigint): number {
  return Number(packed & 0xffff_ffffn) | 0;
}

export function untilTickIn(packed: bigint): number {
  return Number(packed >> 32n);
}

/** Whole ticks: what lasts until a time ends up to one tick later. */
export function tickOf(ms: number): number {
  return Math.ceil(ms / tickMs) >>> 0;
}

/** Milliseconds from now until the tick, less what it was rounded up by at most; 0: it is over. Right for a year on either side. */
export function msUntil(untilTick: number, nowMs: number): number {
  const ticks = (untilTick - (Math.floor(nowMs / tickMs) >>> 0)) | 0;
  return ticks > 0 ? Math.max(1, (ticks - 1) * tickMs) : 0;
}

const tickMs = 16;
