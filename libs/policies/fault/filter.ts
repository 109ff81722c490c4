import { buildEntryMatch, type ExchangeTest } from '@remora/policy-kit/entry-match';
import { WAIT, type Answer, type EdgeFilter, type Exchange, type Verdict } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { faultInjected } from './reasons.ts';
import { faultWire, type FaultEntry, type FaultSettings } from './wire.ts';

/** Delays and aborts a share of the requests, until the wall clock says that it is over. */
export const faultRuntime: RuntimeKind<FaultSettings> = {
  ...faultWire,
  side: 'provider',
  edge: (settings, context) => (settings.faults.length === 0 ? null : createFilter(settings, context)),
};

/** Requests held back at once; beyond it they pass without delay, counted. */
const delayedMax = 10_000;

interface Injector {
  readonly entry: FaultEntry;
  readonly applies: ExchangeTest | null;
}

function createFilter(settings: FaultSettings, context: FilterContext): EdgeFilter {
  const injectors = settings.faults.map((entry): Injector => ({ entry, applies: buildEntryMatch(entry.match, context) }));
  const endsAt = Math.max(...settings.faults.map((entry) => entry.untilMs));
  const delays = new Delays(context.slot());
  const counters: Counters = {
    aborted: context.counter('fault_aborted'), delayed: context.counter('fault_delayed'), delaySkipped: context.counter('fault_delay_skipped'),
  };
  return {
    kind: 'fault',
    request(x) {
      const nowMs = context.clock.wallMs();
      return nowMs >= endsAt ? null : inject(x, injectors, nowMs, delays, counters, context);
    },
    complete: (x) => delays.end(x),
  };
}

interface Counters {
  readonly aborted: () => void;
  readonly delayed: () => void;
  readonly delaySkipped: () => void;
}

/** Requests that are held back now, each marked in its slot: it may end, by its client, before the delay does. */
class Delays {
  readonly #slot: number;
  #count = 0;

  constructor(slot: number) {
    this.#slot = slot;
  }

  /** False: there are too many. */
  begin(x: Exchange): boolean {
    if (this.#count >= delayedMax) return false;
    this.#count += 1;
    x.slots[this.#slot] = true;
    return true;
  }

  end(x: Exchange): void {
    if (x.slots[this.#slot] !== true) return;
    x.slots[this.#slot] = false;
    this.#count -= 1;
  }
}

/** Every entry throws its own dice: the longest delay counts, and the first abort. */
function inject(x: Exchange, injectors: readonly Injector[], nowMs: number, delays: Delays, counters: Counters, context: FilterContext): Verdict {
  let delayMs = 0;
  let abort: Answer | null = null;
  for (const { entry, applies } of injectors) {
    if (nowMs >= entry.untilMs || (applies !== null && !applies(x))) continue;
    if (entry.delay !== null && entry.delay.ms > delayMs && hits(entry.delay.ratio, context)) delayMs = entry.delay.ms;
    if (entry.abort !== null && abort === null && hits(entry.abort.ratio, context)) abort = refuse(entry.name, entry.abort.status, context);
  }
  if (abort !== null) counters.aborted();
  return delayMs > 0 ? delay(x, delayMs, abort, delays, counters, context) : abort;
}

function hits(ratio: number, context: FilterContext): boolean {
  return ratio >= 1 || (ratio > 0 && context.random.next() < ratio);
}

function refuse(name: string, status: number, context: FilterContext): Answer {
  return { ...context.refuse(faultInjected, `/faults/${name}/abort`, `fault ${name} answers ${status}`), status };
}

function delay(x: Exchange, delayMs: number, abort: Answer | null, delays: Delays, counters: Counters, context: FilterContext): Verdict {
  if (context.shadow) {
    counters.delayed();
    return abort;
  }
  if (!delays.begin(x)) {
    counters.delaySkipped();
    return abort;
  }
  counters.delayed();
  context.timers.after(delayMs, (waited, token) => {
    delays.end(waited);
    if (abort === null) waited.proceed(token);
    else waited.answer(token, abort);
  }, x, x.token);
  return WAIT;
}
