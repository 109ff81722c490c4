import { parseDurationMs, parseRatio, parseSizeBytes } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { Hedging } from './gen/hedging.ts';
import { checkHedging, checkHedgingBeside, hedgingDefaults, hedgingSchema, type EffectiveHedging } from './schema.ts';

/** A second try of a call that takes longer than usual: caller side. */
export const hedgingAuthoring: AuthoringKind = {
  name: 'hedging',
  side: 'caller',
  always: false,
  shadow: false,
  format: 1,
  schema: hedgingSchema,
  defaults: hedgingDefaults,
  check: checkHedging,
  checkBeside: checkHedgingBeside,
  compile: (effective) => ({ minFormat: 1, body: Hedging.encode(toMessage(effective as unknown as EffectiveHedging)).finish() }),
};

function toMessage({ delay, quantile, minDelay, samples, replayBuffer }: EffectiveHedging): Hedging {
  return {
    delayMs: delay === undefined ? 0 : (parseDurationMs(delay) ?? 0),
    quantile: quantile === undefined ? 0 : (parseRatio(quantile) ?? 0),
    minDelayMs: parseDurationMs(minDelay) ?? 0,
    samples,
    replayBytes: parseSizeBytes(replayBuffer) ?? 0,
  };
}
