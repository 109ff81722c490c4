import type { StoreAnswer } from './store-questions.ts';

/**
 * Tokens of one key that a sidecar took from the store beforehand, so that most requests need not ask it. Pure arithmetic on a row of numbers, which may lie in
 * memory shared by threads; times are monotonic milliseconds. What was leased has been subtracted in the store already: over any window not more is let in than
 * the limit and the leases that are out.
 */
export interface LeaseRules {
  /** Largest lease; 0: none are taken, and each request asks. */
  readonly max: number;
  /** After so long unused tokens are dropped. */
  readonly lifeMs: number;
  /** How often a key that is used up is asked about. */
  readonly pollMs: number;
  /** Windows that begin anew: tokens of one are none of the next. 0: there are none. */
  readonly windowMs: number;
}

export interface LeasedLimit {
  readonly requests: number;
  readonly perMs: number;
  /** The most that the store gives at once. */
  readonly capacity: number;
  readonly cost: number;
  /** Whether what is granted is for one moment only: a place in a queue. */
  readonly placed: boolean;
  /** Whether windows begin anew, all at once. */
  readonly windowed: boolean;
}

/** Up to so many per window a limit is exact: no leases. */
export const exactMax = 1_000;
/** Of a window's requests, what one sidecar may hold; with the lease that comes while half of the last is left. */
const shareMax = 0.02 / 1.5;
const lifeMaxMs = 10_000;
const pollMaxMs = 20;

export function leaseRules({ requests, perMs, capacity, cost, placed, windowed }: LeasedLimit): LeaseRules {
  const window = Math.min(requests, capacity);
  const max = Math.floor(window * shareMax);
  if (placed || window <= exactMax || max < cost * 2) return { max: 0, lifeMs: 0, pollMs: 0, windowMs: 0 };
  // A bucket that is polled too seldom would be full in between, and lose what flows in.
  return { max, lifeMs: Math.min(perMs, lifeMaxMs), pollMs: Math.max(1, Math.min(pollMaxMs, (capacity * perMs) / requests / 4)), windowMs: windowed ? perMs : 0 };
}

/** Numbers of a row. */
export const leaseStride = 10;
const tokens = 0;
const until = 1;
const deniedUntil = 2;
const askedUntil = 3;
const size = 4;
const grantedAt = 5;
const remaining = 6;
const resetAt = 7;
const windowEnd = 8;
const windowNumber = 9;

export const taken = 0;
export const denied = 1;
export const ask = 2;
export type Taking = typeof taken | typeof denied | typeof ask;

/** Takes the cost where it is there. `denied`: the store said that it has nothing, and that has not changed. */
export function takeLeased(row: Float64Array, at: number, nowMs: number, cost: number): Taking {
  const left = row[at + tokens] as number;
  if (left >= cost && nowMs < (row[at + until] as number)) {
    row[at + tokens] = left - cost;
    return taken;
  }
  return nowMs < (row[at + deniedUntil] as number) ? denied : ask;
}

/** Whether half of the lease is gone: looked at where the row is locked already, so that most requests need not look twice. */
export function runsLow(row: Float64Array, at: number): boolean {
  return (row[at + tokens] as number) * 2 <= (row[at + size] as number);
}

/** Whether to ask for the next lease while this one lasts; marks that somebody does. */
export function shouldAskAhead(row: Float64Array, at: number, nowMs: number, patienceMs: number): boolean {
  if ((row[at + tokens] as number) * 2 > (row[at + size] as number) || nowMs < (row[at + askedUntil] as number) || nowMs < (row[at + deniedUntil] as number)) return false;
  row[at + askedUntil] = nowMs + patienceMs;
  return true;
}

/** What to ask for: as much as lasts for some 50 to 500 ms, as the last lease shows. */
export function nextWish(row: Float64Array, at: number, nowMs: number, rules: LeaseRules, cost: number): number {
  if (rules.max === 0) return cost;
  const last = row[at + size] as number;
  const lastedMs = nowMs - (row[at + grantedAt] as number);
  const wish = last === 0 ? cost * firstWish : lastedMs < 50 ? last * 2 : lastedMs > 500 ? last / 2 : last;
  return Math.max(cost, Math.min(rules.max, Math.ceil(wish)));
}

const firstWish = 4;

/** Puts what came beyond `spent` into the row, and remembers until when there is nothing. */
export function keepGranted(row: Float64Array, at: number, { answer, want, spent, rules, nowMs, askedMs = nowMs }: {
  readonly answer: StoreAnswer; readonly want: number; readonly spent: number; readonly rules: LeaseRules; readonly nowMs: number;
  /** When it was asked: since then what was granted may have grown old. */
  readonly askedMs?: number;
}): void {
  const endsAt = askedMs + answer.validMs;
  const sameWindow = rules.windowMs === 0 || Math.abs(endsAt - (row[at + windowEnd] as number)) < rules.windowMs / 2;
  const left = sameWindow && nowMs < (row[at + until] as number) ? (row[at + tokens] as number) : 0;
  row[at + askedUntil] = 0;
  row[at + remaining] = answer.remaining;
  row[at + resetAt] = nowMs + answer.resetMs;
  if (answer.granted > 0) {
    row[at + tokens] = left + answer.granted - spent;
    row[at + windowEnd] = endsAt;
    row[at + windowNumber] = answer.window ?? 0;
    if (answer.granted > spent || left > 0) row[at + until] = Math.min(nowMs + rules.lifeMs, endsAt);
    row[at + size] = answer.granted;
    row[at + grantedAt] = nowMs;
  }
  if (answer.granted >= want) return;
  row[at + deniedUntil] = nowMs + (answer.granted === 0 ? Math.max(answer.retryAfterMs, rules.pollMs) : rules.pollMs);
}

/** What a request took and does not need. */
export function returnLeased(row: Float64Array, at: number, cost: number): void {
  row[at + tokens] = (row[at + tokens] as number) + cost;
}

/** Empties the row: so much of it was still good. */
export function takeRest(row: Float64Array, at: number, nowMs: number): number {
  const left = nowMs < (row[at + until] as number) ? (row[at + tokens] as number) : 0;
  row[at + tokens] = 0;
  row[at + until] = 0;
  return Math.max(0, left);
}

/** The window of the store in which tokens were granted last; 0: its counting has none. */
export function grantedWindow(row: Float64Array, at: number): number {
  return row[at + windowNumber] as number;
}

/** As far as this sidecar knows. */
export function leasedRemaining(row: Float64Array, at: number): number {
  return (row[at + remaining] as number) + (row[at + tokens] as number);
}

export function leasedResetAt(row: Float64Array, at: number): number {
  return row[at + resetAt] as number;
}

export function deniedUntilOf(row: Float64Array, at: number): number {
  return row[at + deniedUntil] as number;
}

/** From when on the row holds nothing that matters. */
export function leaseFreeAt(row: Float64Array, at: number): number {
  return Math.max(row[at + until] as number, row[at + deniedUntil] as number);
}
