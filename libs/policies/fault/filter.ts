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
  const injectors = settings.faults.map((entry): Injector => ({ entry, applies: buildEntryMatch(entry.match) }));
  const endsAt = Math.max(...settings.faults.map((entry) => entry.untilMs));
  const delayed = { count: 0 };
  return {
    kind: 'fault',
    request(x) {
      const nowMs = context.clock.wallMs();
      return nowMs >= endsAt ? null : inject(x, injectors, nowMs, delayed, context);
    },
  };
}

/** Every entry throws its own dice: the longest delay counts, and the first abort. */
function inject(x: Exchange, injectors: readonly Injector[], nowMs: number, delayed: { count: number }, context: FilterContext): Verdict {
  let delayMs = 0;
  let abort: Answer | null = null;
  for (const { entry, applies } of injectors) {
    if (nowMs >= entry.untilMs || (applies !== null && !applies(x))) continue;
    if (entry.delay !== null && entry.delay.ms > delayMs && hits(entry.delay.ratio, context)) delayMs = entry.delay.ms;
    if (entry.abort !== null && abort === null && hits(entry.abort.ratio, context)) abort = refuse(entry.name, entry.abort.status, context);
  }
  if (abort !== null) context.count('fault_aborted');
  return delayMs > 0 ? delay(x, delayMs, abort, delayed, context) : abort;
}

function hits(ratio: number, context: FilterContext): boolean {
  return ratio >= 1 || (ratio > 0 && context.random.next() < ratio);
}

function refuse(name: string, status: number, context: FilterContext): Answer {
  return { ...context.refuse(faultInjected, `/faults/${name}/abort`, `fault ${name} answers ${status}`), status };
}

function delay(x: Exchange, delayMs: number, abort: Answer | null, delayed: { count: number }, context: FilterContext): Verdict {
  if (delayed.count >= delayedMax) {
    context.count('fault_delay_skipped');
    return abort;
  }
  context.count('fault_delayed');
  if (context.shadow) return abort;
  delayed.count += 1;
  context.timers.after(delayMs, (waited, token) => {
    delayed.count -= 1;
    if (abort === null) waited.proceed(token);
    else waited.answer(token, abort);
  }, x, x.token);
  return WAIT;
}
