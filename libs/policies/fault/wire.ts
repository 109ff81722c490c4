import { readEntryMatch, type EntryMatch } from '@remora/policy-kit/entry-match';
import { boundedList, boundedText, decodeMessage, realNumber, wholeNumber } from '@remora/policy-kit/wire-check';
import { Fault, type Entry } from './gen/fault.ts';
import { faultInjected } from './reasons.ts';

export interface FaultSettings {
  readonly faults: readonly FaultEntry[];
}

export interface FaultEntry {
  readonly name: string;
  /** Unix milliseconds at which it ends by itself. */
  readonly untilMs: number;
  readonly match: EntryMatch;
  readonly delay: { readonly ms: number; readonly ratio: number } | null;
  readonly abort: { readonly status: number; readonly ratio: number } | null;
}

export const faultWire = { name: 'fault', format: 2, reasons: [faultInjected], decode: decodeFault } as const;

function decodeFault(bytes: Uint8Array): FaultSettings {
  const message = decodeMessage(Fault, bytes);
  return Object.freeze({ faults: Object.freeze(boundedList(message.faults, '/faults', 32).map(readEntry)) });
}

/** The end of the year 9999. */
const latestMs = 253_402_300_799_999;

function readEntry(entry: Entry): FaultEntry {
  const name = boundedText(entry.name, '/faults', 63, /^[A-Za-z][A-Za-z0-9_-]*$/);
  const pointer = `/faults/${name}`;
  const { delay, abort } = entry;
  return Object.freeze({
    name,
    untilMs: realNumber(entry.untilMs, `${pointer}/until`, 0, latestMs),
    match: readEntryMatch(entry.match, `${pointer}/match`),
    delay: delay ? { ms: wholeNumber(delay.ms, `${pointer}/delay/duration`, 1, 60_000), ratio: realNumber(delay.ratio, `${pointer}/delay/ratio`, 0, 1) } : null,
    abort: abort ? { status: wholeNumber(abort.status, `${pointer}/abort/status`, 400, 599), ratio: realNumber(abort.ratio, `${pointer}/abort/ratio`, 0, 1) } : null,
  });
}
