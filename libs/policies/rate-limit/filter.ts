import { formatDuration } from '@remora/core/units';
import type { Field } from '@remora/http/head';
import { makeField } from '@remora/http/header-ids';
import { WAIT, type EdgeFilter, type Exchange, type Verdict } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { Limit } from './limit.ts';
import { createWriter, type Standing } from './rate-headers.ts';
import { rateLimited } from './reasons.ts';
import { rateLimitWire, type RateLimitSettings } from './wire.ts';

/** Counts requests per key and refuses, or delays, those beyond a limit. */
export const rateLimitRuntime: RuntimeKind<RateLimitSettings> = {
  ...rateLimitWire,
  side: 'provider',
  tcp: true,
  edge: (settings, context) => (settings.limits.length === 0 ? null : createFilter(settings, context)),
};

/** Requests that one limit may hold back at once, over all its keys. */
const waitingMax = 10_000;

function createFilter(settings: RateLimitSettings, context: FilterContext): EdgeFilter {
  const limits = settings.limits.map((limit) => new Limit(limit, context));
  const write = createWriter(settings.headerStyle, limits);
  const delays = settings.limits.some((limit) => limit.algorithm === 'leakyBucket');
  const slots: Slots = {
    standings: write === null ? -1 : context.slot(),
    waiting: delays ? context.slot() : -1,
    delayed: context.counter('rateLimit_delayed'),
    queueFull: context.counter('rateLimit_queue_full'),
  };
  const filter: EdgeFilter = { kind: 'rateLimit', request: (x) => decide(x, limits, slots, context) };
  if (delays) filter.complete = (x) => stopWaiting(x, slots);
  if (write !== null) {
    filter.response = (x, head) => {
      const standings = x.slots[slots.standings] as readonly Standing[] | undefined;
      if (standings !== undefined) write(head, standings);
    };
  }
  return filter;
}

/** Indexes into the exchange's slots, -1: not needed; and counters. */
interface Slots {
  /** What the response will say. */
  readonly standings: number;
  /** The limit that holds the request back. */
  readonly waiting: number;
  readonly delayed: () => void;
  readonly queueFull: () => void;
}

/**
 * A request that one limit refuses is not counted by the others: with several limits, all are asked first. The request
 * waits for the longest of the waits that its leaky buckets give it.
 */
function decide(x: Exchange, limits: readonly Limit[], slots: Slots, context: FilterContext): Verdict {
  const nowMs = context.clock.monotonicMs();
  const [only] = limits;
  if (only !== undefined && limits.length === 1) {
    if (!only.appliesTo(x)) return null;
    const allowed = only.decide(x, nowMs, true).allowed;
    if (slots.standings >= 0) x.slots[slots.standings] = [standingOf(only)];
    countOverflows(only, context);
    return allowed ? pass(x, only, slots, context) : refuse(only, context);
  }
  return decideAmong(x, limits.filter((limit) => limit.appliesTo(x)), slots, nowMs, context);
}

function decideAmong(x: Exchange, limits: readonly Limit[], slots: Slots, nowMs: number, context: FilterContext): Verdict {
  const refusing = limits.find((limit) => !limit.decide(x, nowMs, false).allowed);
  if (refusing !== undefined) {
    remember(x, slots.standings, limits.slice(0, limits.indexOf(refusing) + 1));
    return refuse(refusing, context);
  }
  let slowest: Limit | undefined;
  for (const limit of limits) {
    // Another thread may have taken the last of it in between.
    if (!limit.decide(x, nowMs, true).allowed) return refuse(limit, context);
    countOverflows(limit, context);
    if (slowest === undefined || limit.decision.waitMs > slowest.decision.waitMs) slowest = limit;
  }
  remember(x, slots.standings, limits);
  return slowest === undefined ? null : pass(x, slowest, slots, context);
}

/** What the response will say; only where a header style is set. */
function remember(x: Exchange, slot: number, limits: readonly Limit[]): void {
  if (slot < 0 || limits.length === 0) return;
  x.slots[slot] = limits.map(standingOf);
}

function standingOf(limit: Limit): Standing {
  const { remaining, resetMs } = limit.decision;
  return { limit, remaining, resetMs };
}

function pass(x: Exchange, limit: Limit, slots: Slots, context: FilterContext): Verdict {
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
function stopWaiting(x: Exchange, slots: Slots): void {
  const limit = x.slots[slots.waiting] as Limit | undefined;
  if (limit === undefined) return;
  x.slots[slots.waiting] = undefined;
  limit.waiting.count -= 1;
}

function refuse(limit: Limit, context: FilterContext): Verdict {
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

function countOverflows(limit: Limit, context: FilterContext): void {
  const count = limit.takeOverflows();
  if (count > 0) context.count('rateLimit_keys_forgotten', count);
}
