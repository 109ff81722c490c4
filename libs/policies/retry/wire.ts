import { boundedList, decodeMessage, realNumber, wholeNumber, wireHeaderName } from '@remora/policy-kit/wire-check';
import { Retry } from './gen/retry.ts';

export interface RetrySettings {
  /** Beyond the first attempt. */
  readonly retries: number;
  readonly onReset: boolean;
  readonly onRefusedStream: boolean;
  readonly onStatuses: ReadonlySet<number>;
  /** As decimal numbers: what `grpc-status` says. */
  readonly onGrpcStatuses: ReadonlySet<string>;
  /** Lower case. */
  readonly retriableHeaders: readonly string[];
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  /** A longer `Retry-After` means that there is no further attempt. */
  readonly retryAfterMaxMs: number;
  /** Share of the live requests that may be retries. */
  readonly budgetRatio: number;
  /** Retries per second that are always allowed. */
  readonly budgetMinPerSecond: number;
  /** Body bytes kept for a further attempt. */
  readonly replayBytes: number;
  /** Retries of other hops are not multiplied, and what other hops gave up is not tried again. */
  readonly guarded: boolean;
}

export const retryWire = { name: 'retry', format: 3, decode: decodeRetry } as const;

function decodeRetry(bytes: Uint8Array): RetrySettings {
  const message = decodeMessage(Retry, bytes);
  const backoffBaseMs = wholeNumber(message.backoffBaseMs, '/backoff/base', 1, 60_000);
  return Object.freeze({
    retries: wholeNumber(message.retries, '/retries', 0, 10),
    onReset: message.onReset,
    onRefusedStream: message.onRefusedStream,
    onStatuses: new Set(boundedList(message.onStatuses, '/retryOn', 200).map((status) => wholeNumber(status, '/retryOn', 400, 599))),
    onGrpcStatuses: new Set(boundedList(message.onGrpcStatuses, '/retryOn', 16).map((code) => String(wholeNumber(code, '/retryOn', 1, 16)))),
    retriableHeaders: boundedList(message.retriableHeaders, '/retriableHeaders', 16).map((name) => wireHeaderName(name, '/retriableHeaders')),
    backoffBaseMs,
    backoffMaxMs: wholeNumber(message.backoffMaxMs, '/backoff/max', backoffBaseMs, 60_000),
    retryAfterMaxMs: wholeNumber(message.retryAfterMaxMs, '/retryAfterMax', 0, 60_000),
    budgetRatio: realNumber(message.budgetRatio, '/budget/ratio', 0, 1),
    budgetMinPerSecond: wholeNumber(message.budgetMinPerSecond, '/budget/minPerSecond', 0, 1000),
    replayBytes: wholeNumber(message.replayBytes, '/replayBuffer', 0, 1024 * 1024),
    guarded: !message.unguarded,
  });
}
