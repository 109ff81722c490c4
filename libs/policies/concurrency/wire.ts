import { readEntryMatch, type EntryMatch } from '@remora/policy-kit/entry-match';
import { boundedList, boundedText, decodeMessage, realNumber, wholeNumber } from '@remora/policy-kit/wire-check';
import { Concurrency } from './gen/concurrency.ts';
import { concurrencyLimited } from './reasons.ts';

export interface ConcurrencySettings {
  readonly adaptive: boolean;
  /** Fixed: the limit; adaptive: where it begins. */
  readonly limit: number;
  readonly limitMin: number;
  readonly limitMax: number;
  /** Share of the latency without load by which latency may grow. */
  readonly tolerance: number;
  /** How often latency without load is measured under load. */
  readonly probeEveryMs: number;
  readonly probeJitter: number;
  readonly priorities: readonly PrioritySettings[];
}

export interface PrioritySettings {
  readonly name: string;
  /** Of the limit: such requests run while less than this is under way. */
  readonly share: number;
  readonly match: EntryMatch;
}

export const concurrencyWire = { name: 'concurrency', format: 1, reasons: [concurrencyLimited], decode: decodeConcurrency } as const;

const limitMost = 100_000;

function decodeConcurrency(bytes: Uint8Array): ConcurrencySettings {
  const message = decodeMessage(Concurrency, bytes);
  const limitMin = wholeNumber(message.limitMin, '/minLimit', 1, limitMost);
  return Object.freeze({
    adaptive: message.adaptive,
    limit: wholeNumber(message.limit, '/limit', 1, limitMost),
    limitMin,
    limitMax: wholeNumber(message.limitMax, '/maxLimit', message.adaptive ? limitMin : 1, limitMost),
    tolerance: realNumber(message.tolerance, '/tolerance', 0, 1),
    probeEveryMs: wholeNumber(message.probeEveryMs, '/probe/every', 1000, 3_600_000),
    probeJitter: realNumber(message.probeJitter, '/probe/jitter', 0, 1),
    priorities: Object.freeze(boundedList(message.priorities, '/priorities', 16).map(({ name, share, match }) => Object.freeze({
      name: boundedText(name, '/priorities', 63, /^[A-Za-z][A-Za-z0-9_-]*$/),
      share: realNumber(share, `/priorities/${name}/share`, 0, 1),
      match: readEntryMatch(match, `/priorities/${name}/match`),
    }))),
  });
}
