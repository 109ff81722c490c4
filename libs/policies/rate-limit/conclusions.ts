import { formatDuration } from '@remora/core/units';
import type { Field } from '@remora/http/head';
import { makeField } from '@remora/http/header-ids';
import { WAIT, type Exchange, type Verdict } from '@remora/policy-kit/exchange';
import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import type { FleetLimit } from './fleet-limit.ts';
import type { CountingLimit, Limit } from './limit.ts';
import type { Standing } from './rate-headers.ts';
import { rateLimited } from './reasons.ts';

/** A limit that a policy names. */
export type PolicyLimit = Limit | FleetLimit;

/** Requests that one limit may hold back at once, over all its keys. */
const waitingMax = 10_000;

/** Indexes into the exchange's slots, -1: not needed; and counters. */
export interface Slots {
  /** What the response will say. */
  readonly standings: number;
  /** The limit that holds the request back. */
  readonly waiting: number;
  /** What the store of the Mesh was asked for the request. */
  readonly asking: number;
  readonly delayed: () => void;
  readonly queueFull: () => void;
}

/** `fleet`: some limits may be counted in the store of the Mesh. */
export function createSlots(limits: readonly PolicyLimit[], { standings, fleet }: { readonly standings: number; readonly fleet: boolean }, context: FilterContext): Slots {
  return {
    standings,
    waiting: limits.some((limit) => limit.settings.algorithm === 'leakyBucket') ? context.slot() : -1,
    asking: fleet ? context.slot() : -1,
    delayed: context.counter('rateLimit_delayed'),
    queueFull: context.counter('rateLimit_queue_full'),
  };
}

/** What the response will say; only where a header style is set. */
export function remember(x: Exchange, slot: number, limits: readonly CountingLimit[]): void {
  if (slot < 0 || limits.length === 0) return;
  const before = x.slots[slot] as readonly Standing[] | undefined;
  const now = limits.map(standingOf);
  x.slots[slot] = before === undefined ? now : [...before, ...now];
}

function standingOf(limit: CountingLimit): Standing {
  const { remaining, resetMs } = limit.decision;
  return { limit, remaining, resetMs };
}

export function pass(x: Exchange, limit: CountingLimit, slots: Slots, context: FilterContext): Verdict {
  const { waitMs } = limit.decision;
  if (waitMs < 1 || context.shadow) return null;
  if (limit.waiting.count >= waitingMax) {
    slots.queueFull();
    return refuse(limit, context);
  }
  limit.waiting.count += 1;
  x.slots[slots.waiting] = limit;
  slots.delayed();
  context.timers.after(waitMs, (waited, token) => {
    stopWaiting(waited, slots);
    waited.proceed(token);
  }, x, x.token);
  return WAIT;
}

/** Its turn has come, or the client has gone: then the timer goes with the exchange. */
export function stopWaiting(x: Exchange, slots: Slots): void {
  if (slots.waiting < 0) return;
  const limit = x.slots[slots.waiting] as CountingLimit | undefined;
  if (limit === undefined) return;
  x.slots[slots.waiting] = undefined;
  limit.waiting.count -= 1;
}

export function refuse(limit: CountingLimit, context: FilterContext): Verdict {
  const { settings, decision, pointer } = limit;
  const afterSeconds = Math.max(1, Math.ceil(decision.retryAfterMs / 1000));
  const detail = `limit ${settings.name}: ${settings.requests} per ${formatDuration(settings.perMs)}, used up; retry in ${afterSeconds}s`;
  return context.refuse(rateLimited, pointer, detail, retryAfter(afterSeconds));
}

/** Refusals are cheapest when there are most of them: the usual waits are prepared once. */
function retryAfter(seconds: number): readonly Field[] {
  const known = retryAfterFields[seconds];
  if (known !== undefined) return known;
  const fields = [makeField('retry-after', String(seconds))];
  if (seconds <= preparedSecondsMax) retryAfterFields[seconds] = fields;
  return fields;
}

const preparedSecondsMax = 3600;
const retryAfterFields: (readonly Field[] | undefined)[] = [];

export function countOverflows(limit: CountingLimit, context: FilterContext): void {
  const count = limit.takeOverflows();
  if (count > 0) context.count('rateLimit_keys_forgotten', count);
}
