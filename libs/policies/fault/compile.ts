import { parseDurationMs, parseRatio } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { asksWho } from '@remora/policy-kit/entry-match';
import { compileEntryMatch } from '@remora/policy-kit/entry-match-schema';
import { Fault, type Entry } from './gen/fault.ts';
import { checkFault, faultSchema, parseInstant, type EffectiveFault, type EffectiveFaultEntry } from './schema.ts';

/** Faults for tests of what calls a service: provider side. */
export const faultAuthoring: AuthoringKind = {
  name: 'fault',
  side: 'provider',
  always: false,
  shadow: true,
  format: 2,
  schema: faultSchema,
  defaults: {},
  check: checkFault,
  compile: (effective) => {
    const message = toMessage(effective);
    return { minFormat: message.faults.some(({ match = {} }) => asksWho(match)) ? 2 : 1, body: Fault.encode(message).finish() };
  },
};

function toMessage({ faults = {} }: EffectiveFault): Fault {
  return { faults: Object.keys(faults).sort().flatMap((name) => (faults[name] ? [toEntry(name, faults[name])] : [])) };
}

function toEntry(name: string, { until, delay, abort, match }: EffectiveFaultEntry): Entry {
  return {
    name,
    untilMs: parseInstant(until ?? '') ?? 0,
    match: compileEntryMatch(match),
    delay: delay && { ms: parseDurationMs(delay.duration ?? '') ?? 0, ratio: ratioOf(delay.ratio) },
    abort: abort && { status: abort.status ?? 0, ratio: ratioOf(abort.ratio) },
  };
}

/** Without a ratio, every request that matches. */
function ratioOf(ratio: string | number | undefined): number {
  return ratio === undefined ? 1 : (parseRatio(ratio) ?? 0);
}
