import { decodeMessage, realNumber, wholeNumber } from '@remora/policy-kit/wire-check';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { Hedging } from './gen/hedging.ts';

export interface HedgingSettings {
  /** Fixed; 0: by the quantile. */
  readonly delayMs: number;
  readonly quantile: number;
  readonly minDelayMs: number;
  /** Answers that must have been seen lately before the quantile counts for anything. */
  readonly samples: number;
  /** Of the request body. */
  readonly replayBytes: number;
}

export const hedgingWire = { name: 'hedging', format: 1, decode: decodeHedging, reasons: [] } as const;

function decodeHedging(bytes: Uint8Array): HedgingSettings {
  const { delayMs, quantile, minDelayMs, samples, replayBytes } = decodeMessage(Hedging, bytes);
  if ((delayMs === 0) === (quantile === 0)) throw new WireError('', 'contradiction', 'either delay or quantile');
  return Object.freeze({
    delayMs: wholeNumber(delayMs, '/delay', 0, 60_000),
    quantile: realNumber(quantile, '/quantile', 0, 0.999),
    minDelayMs: wholeNumber(minDelayMs, '/minDelay', 1, 60_000),
    samples: wholeNumber(samples, '/samples', 10, 100_000),
    replayBytes: wholeNumber(replayBytes, '/replayBuffer', 0, 1024 * 1024),
  });
}
