import { parseDurationMs, parseRatio } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { compileEntryMatch } from '@remora/policy-kit/entry-match-schema';
import { Concurrency } from './gen/concurrency.ts';
import { checkConcurrency, concurrencyDefaults, concurrencySchema, type EffectiveConcurrency } from './schema.ts';

/** Holds what is under way to what the service can do: provider side. */
export const concurrencyAuthoring: AuthoringKind = {
  name: 'concurrency',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  schema: concurrencySchema,
  defaults: concurrencyDefaults,
  check: checkConcurrency,
  compile: (effective) => ({ minFormat: 1, body: Concurrency.encode(toMessage(effective as unknown as EffectiveConcurrency)).finish() }),
};

function toMessage({ mode, limit, minLimit, maxLimit, tolerance, probe, priorities = {} }: EffectiveConcurrency): Concurrency {
  return {
    adaptive: mode === 'adaptive',
    limit,
    limitMin: minLimit,
    limitMax: maxLimit,
    tolerance: parseRatio(tolerance) ?? 0,
    probeEveryMs: parseDurationMs(probe.every) ?? 0,
    probeJitter: parseRatio(probe.jitter) ?? 0,
    priorities: Object.entries(priorities).map(([name, { share, match }]) => ({ name, share: parseRatio(share ?? 1) ?? 1, match: compileEntryMatch(match) })).sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}
