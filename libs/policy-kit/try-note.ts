import type { CallLimit, Exchange } from './exchange.ts';

/** How one attempt of a call failed: made only when it did, so that what succeeds pays nothing. */
export interface TryNote {
  /** As `Call.attempt`; attempts made beside each other (hedging) may have the same. */
  readonly attempt: number;
  /** Id of the endpoint; '' where the attempt got no host. */
  readonly endpoint: string;
  /** `host:port`; '' where it got none. */
  readonly host: string;
  /** Code of the reason; `answered` where the host itself said that it failed. */
  readonly outcome: string;
  /** Of the answer; 0 without one. */
  readonly status: number;
  /** Of the answer; -1 where it says none. */
  readonly grpcStatus: number;
  /** Since the attempt began. */
  readonly durationMs: number;
  /** Limit that ended it; null where none did. */
  readonly limit: CallLimit | null;
}

/** Keeps the note with its exchange: the first ones, and the last. */
export function noteTry(x: Exchange, note: TryNote): void {
  const { tries } = x;
  if (tries === null) x.tries = [note];
  else if (tries.length < triesMax) tries.push(note);
  else {
    tries[triesMax - 1] = note;
    x.triesLeftOut += 1;
  }
}

/** Of one exchange. */
export const triesMax = 8;
