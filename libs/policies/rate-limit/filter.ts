import { formatDuration } from '@remora/core/units';
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
  edge: (settings, context) => (settings.limits.length === 0 ? null : createFilter(settings, context)),
};

/** Requests that one limit may hold back at once, over all its keys. */
const waitingMax = 10_000;

function createFilter(settings: RateLimitSettings, context: FilterContext): EdgeFilter {
  const limits = settings.limits.map((limit) => new Limit(limit, context));
  const write = createWriter(settings.headerStyle);
  const slot = write === null ? -1 : context.slot();
  const filter: EdgeFilter = { kind: 'rateLimit', request: (x) => decide(x, limits, slot, context) };
  if (write !== null) {
    filter.response = (x, head) => {
      const standings = x.slots[slot] as readonly Standing[] | undefined;
      if (standings !== undefined) write(head, standings);
    };
  }
  return filter;
}

/**
 * A request that one limit refuses is not counted by the others: with several limits, all are asked first. The request
 * waits for the longest of the waits that its leaky buckets give it.
 */
function decide(x: Exchange, limits: readonly Limit[], slot: number, context: FilterContext): Verdict {
  const nowMs = context.clock.monotonicMs();
  const [only] = limits;
  if (only !== undefined && limits.length === 1) {
    if (!only.appliesTo(x)) return null;
    const allowed = only.decide(x, nowMs, true).allowed;
    remember(x, slot, [only]);
    countOverflows(only, context);
    return allowed ? pass(x, only.decision.waitMs, only, context) : refuse(only, context);
  }
  return decideAmong(x, limits.filter((limit) => limit.appliesTo(x)), slot, nowMs, context);
}

function decideAmong(x: Exchange, limits: readonly Limit[], slot: number, nowMs: number, context: FilterContext): Verdict {
  const refusing = limits.find((limit) => !limit.decide(x, nowMs, false).allowed);
  if (refusing !== undefined) {
    remember(x, slot, limits.slice(0, limits.indexOf(refusing) + 1));
    return refuse(refusing, context);
  }
  let slowest: Limit | undefined;
  for (const limit of limits) {
    // Another thread may have taken the last of it in between.
    if (!limit.decide(x, nowMs, true).allowed) return refuse(limit, context);
    countOverflows(limit, context);
    if (slowest === undefined || limit.decision.waitMs > slowest.decision.waitMs) slowest = limit;
  }
  remember(x, slot, limits);
  return slowest === undefined ? null : pass(x, slowest.decision.waitMs, slowest, context);
}

/** What the response will say; only where a header style is set. */
function remember(x: Exchange, slot: number, limits: readonly Limit[]): void {
  if (slot < 0 || limits.length === 0) return;
  x.slots[slot] = limits.map((limit): Standing => ({ limit, remaining: limit.decision.remaining, resetMs: limit.decision.resetMs }));
}

function pass(x: Exchange, waitMs: number, limit: Limit, context: FilterContext): Verdict {
  if (waitMs < 1 || context.shadow) return null;
  if (limit.waiting.count >= waitingMax) {
    context.count('rateLimit_queue_full');
    return refuse(limit, context);
  }
  limit.waiting.count += 1;
  context.count('rateLimit_delayed');
  context.timers.after(waitMs, (waited, token) => {
    limit.waiting.count -= 1;
    waited.proceed(token);
  }, x, x.token);
  return WAIT;
}

function refuse(limit: Limit, context: FilterContext): Verdict {
  const { settings, decision, pointer } = limit;
  const afterSeconds = Math.max(1, Math.ceil(decision.retryAfterMs / 1000));
  const detail = `limit ${settings.name}: ${settings.requests} per ${formatDuration(settings.perMs)}, used up; retry in ${afterSeconds}s`;
  return context.refuse(rateLimited, pointer, detail, [makeField('retry-after', String(afterSeconds))]);
}

function countOverflows(limit: Limit, context: FilterContext): void {
  const count = limit.takeOverflows();
  if (count > 0) context.count('rateLimit_keys_forgotten', count);
}
