import { formatDuration } from '@remora/core/units';
import type { Field } from '@remora/http/head';
import { makeField } from '@remora/http/header-ids';
import { WAIT, type EdgeFilter, type Exchange, type Verdict } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { needsIdentity } from './identity-keys.ts';
import { Limit, type CountingLimit } from './limit.ts';
import { PlanLimits } from './plan-limits.ts';
import { createWriter, type Standing } from './rate-headers.ts';
import { rateLimited } from './reasons.ts';
import { rateLimitWire, type RateLimitSettings } from './wire.ts';

/** Counts requests per key and refuses, or delays, those beyond a limit. Limits by who the request is from run after authorization. */
export const rateLimitRuntime: RuntimeKind<RateLimitSettings> = {
  ...rateLimitWire,
  side: 'provider',
  tcp: true,
  edge: (settings, context) => (settings.limits.length === 0 && !settings.plans ? null : createFilter(settings, context)),
};

/** Requests that one limit may hold back at once, over all its keys. */
const waitingMax = 10_000;

function createFilter(settings: RateLimitSettings, context: FilterContext): EdgeFilter {
  const limits = settings.limits.map((limit) => new Limit(limit, context));
  const early = limits.filter((limit) => !needsIdentity(limit.settings.key, limit.settings.match));
  const late = limits.filter((limit) => needsIdentity(limit.settings.key, limit.settings.match));
  const plans = settings.plans ? new PlanLimits(context) : null;
  const write = createWriter(settings.headerStyle);
  const standings = write === null ? -1 : context.slot();
  const filter: EdgeFilter = { kind: 'rateLimit', ...createPart(early, standings, context) };
  if (write !== null) {
    // The early part is the last to see a response, so it has the standings of both.
    filter.response = (x, head) => {
      const list = x.slots[standings] as readonly Standing[] | undefined;
      if (list !== undefined) write(head, list);
    };
  }
  return late.length === 0 && plans === null ? filter : { ...filter, late: { kind: 'rateLimit', ...createLatePart(late, plans, standings, context) } };
}

/** The hooks of limits that run at one place. */
function createPart(limits: readonly Limit[], standings: number, context: FilterContext): Pick<EdgeFilter, 'request' | 'complete' | 'concerns'> {
  if (limits.length === 0) return {};
  const slots = createSlots(limits, standings, context);
  return { request: (x) => decide(x, limits, slots, context), concerns: (x) => pointersOf(x, limits), ...(slots.waiting < 0 ? {} : { complete: (x: Exchange) => stopWaiting(x, slots) }) };
}

function createLatePart(limits: readonly Limit[], plans: PlanLimits | null, standings: number, context: FilterContext): Pick<EdgeFilter, 'request' | 'complete' | 'concerns'> {
  if (plans === null) return createPart(limits, standings, context);
  const slots = createSlots(limits, standings, context);
  const request = (x: Exchange): Verdict => {
    const bought = plans.of(x);
    if (bought.length === 0) return limits.length === 0 ? null : decide(x, limits, slots, context);
    return decide(x, limits.length === 0 ? bought : [...limits, ...bought], slots, context);
  };
  return { request, concerns: (x) => pointersOf(x, [...limits, ...plans.of(x)]), ...(slots.waiting < 0 ? {} : { complete: (x: Exchange) => stopWaiting(x, slots) }) };
}

/** Of the limits that would count a request. */
function pointersOf(x: Exchange, limits: readonly CountingLimit[]): readonly string[] {
  return limits.filter((limit) => limit.appliesTo(x)).map(({ pointer }) => pointer);
}

function createSlots(limits: readonly Limit[], standings: number, context: FilterContext): Slots {
  return {
    standings,
    waiting: limits.some((limit) => limit.settings.algorithm === 'leakyBucket') ? context.slot() : -1,
    delayed: context.counter('rateLimit_delayed'),
    queueFull: context.counter('rateLimit_queue_full'),
  };
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
function decide(x: Exchange, limits: readonly CountingLimit[], slots: Slots, context: FilterContext): Verdict {
  const nowMs = context.clock.monotonicMs();
  const [only] = limits;
  if (only !== undefined && limits.length === 1) {
    if (!only.appliesTo(x)) return null;
    const allowed = only.decide(x, nowMs, true).allowed;
    remember(x, slots.standings, limits);
    countOverflows(only, context);
    return allowed ? pass(x, only, slots, context) : refuse(only, context);
  }
  return decideAmong(x, limits.filter((limit) => limit.appliesTo(x)), slots, nowMs, context);
}

function decideAmong(x: Exchange, limits: readonly CountingLimit[], slots: Slots, nowMs: number, context: FilterContext): Verdict {
  const refusing = limits.find((limit) => !limit.decide(x, nowMs, false).allowed);
  if (refusing !== undefined) {
    remember(x, slots.standings, limits.slice(0, limits.indexOf(refusing) + 1));
    return refuse(refusing, context);
  }
  let slowest: CountingLimit | undefined;
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
function remember(x: Exchange, slot: number, limits: readonly CountingLimit[]): void {
  if (slot < 0 || limits.length === 0) return;
  const before = x.slots[slot] as readonly Standing[] | undefined;
  const now = limits.map(standingOf);
  x.slots[slot] = before === undefined ? now : [...before, ...now];
}

function standingOf(limit: CountingLimit): Standing {
  const { remaining, resetMs } = limit.decision;
  return { limit, remaining, resetMs };
}

function pass(x: Exchange, limit: CountingLimit, slots: Slots, context: FilterContext): Verdict {
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
  const limit = x.slots[slots.waiting] as CountingLimit | undefined;
  if (limit === undefined) return;
  x.slots[slots.waiting] = undefined;
  limit.waiting.count -= 1;
}

function refuse(limit: CountingLimit, context: FilterContext): Verdict {
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

function countOverflows(limit: CountingLimit, context: FilterContext): void {
  const count = limit.takeOverflows();
  if (count > 0) context.count('rateLimit_keys_forgotten', count);
}
