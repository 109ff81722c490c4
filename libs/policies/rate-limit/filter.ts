import type { EdgeFilter, Exchange, Verdict } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { needsIdentity } from './identity-keys.ts';
import { countOverflows, createSlots, pass, refuse, remember, stopWaiting, type PolicyLimit, type Slots } from './conclusions.ts';
import { FleetDecisions } from './fleet-decisions.ts';
import { createFleetLimit } from './create-fleet-limit.ts';
import { createLimit, type CountingLimit } from './limit.ts';
import { PlanLimits } from './plan-limits.ts';
import { createWriter, type Standing } from './rate-headers.ts';
import { rateLimitWire, type LimitSettings, type RateLimitSettings } from './wire.ts';

/** Counts requests per key and refuses, or delays, those beyond a limit. Limits by who the request is from run after authorization. */
export const rateLimitRuntime: RuntimeKind<RateLimitSettings> = {
  ...rateLimitWire,
  side: 'provider',
  tcp: true,
  edge: (settings, context) => (settings.limits.length === 0 && !settings.plans ? null : createFilter(settings, context)),
};

function createFilter(settings: RateLimitSettings, context: FilterContext): EdgeFilter {
  const create = (limit: LimitSettings): PolicyLimit => (limit.sharedBy === 'fleet' ? createFleetLimit(limit, context) : createLimit(limit, context));
  const early = settings.limits.filter(({ key, match }) => !needsIdentity(key, match)).map(create);
  const late = settings.limits.filter(({ key, match }) => needsIdentity(key, match)).map(create);
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
function createPart(limits: readonly PolicyLimit[], standings: number, context: FilterContext): Hooks {
  if (limits.length === 0) return {};
  const fleet = limits.some(isFleet);
  const slots = createSlots(limits, { standings, fleet }, context);
  const decisions = fleet ? new FleetDecisions(slots, context) : null;
  const request = decisions === null ? (x: Exchange): Verdict => decide(x, limits, slots, context) : (x: Exchange): Verdict => decisions.request(x, limits);
  return { request, concerns: (x) => pointersOf(x, limits), ...completing(slots, decisions) };
}

type Hooks = Pick<EdgeFilter, 'request' | 'complete' | 'concerns'>;

function completing(slots: Slots, decisions: FleetDecisions | null): Pick<EdgeFilter, 'complete'> {
  if (slots.waiting < 0 && decisions === null) return {};
  return {
    complete: (x) => {
      stopWaiting(x, slots);
      decisions?.forget(x);
    },
  };
}

function createLatePart(limits: readonly PolicyLimit[], plans: PlanLimits | null, standings: number, context: FilterContext): Hooks {
  if (plans === null) return createPart(limits, standings, context);
  const slots = createSlots(limits, { standings, fleet: true }, context);
  const decisions = new FleetDecisions(slots, context);
  const ownFleet = limits.some(isFleet);
  const request = (x: Exchange): Verdict => {
    const bought = plans.of(x);
    const all = bought.length === 0 ? limits : limits.length === 0 ? bought : [...limits, ...bought];
    if (all.length === 0) return null;
    return ownFleet || bought.some(isFleet) ? decisions.request(x, all) : decide(x, all, slots, context);
  };
  return { request, concerns: (x) => pointersOf(x, [...limits, ...plans.of(x)]), ...completing(slots, decisions) };
}

function isFleet(limit: CountingLimit): boolean {
  return limit.fleet;
}

/** Of the limits that would count a request. */
function pointersOf(x: Exchange, limits: readonly CountingLimit[]): readonly string[] {
  return limits.filter((limit) => limit.appliesTo(x)).map(({ pointer }) => pointer);
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
