import type { Answer } from '../../processes/traffic.ts';

/** What an outage of one instance came to, of one mode and proxy. Milliseconds. */
export interface OutageFigures {
  /** Requests, from the outage until the instance was back, that got no answer or one from 500 on. */
  readonly failed: number;
  /** From the outage until the p99 of half a second is what it was before, and stays so; null: it does not while the instance is ill. */
  readonly p99BackMs: number | null;
  /** From the outage until the instance is taken out or passed over; null: it is not. */
  readonly outMs: number | null;
  /** From the healing until the instance has answered five requests again; null: it has not. */
  readonly returnMs: number | null;
  /** Attempts for each request while the instance is ill. */
  readonly attempts: number;
}

/** Instants of one outage on the monotonic clock that answers carry. */
export interface OutageTimes {
  readonly loadedAt: number;
  readonly illAt: number;
  readonly healedAt: number;
}

/** `name`: of the instance. Answers are in the order in which they were asked for. */
export function outageFigures(answers: readonly Answer[], name: string, times: OutageTimes, told: { readonly outMs: number | null; readonly retries: number }): OutageFigures {
  const since = answers.filter(({ startedAt, elapsedMs }) => startedAt + elapsedMs >= times.illAt);
  const ill = answers.filter(({ startedAt }) => startedAt >= times.illAt && startedAt < times.healedAt);
  const back = answers.filter(({ startedAt, body, status }) => startedAt >= times.healedAt && body === name && status === 200)[returnedAfter - 1];
  return {
    failed: since.filter(({ status }) => status === 0 || status >= 500).length,
    p99BackMs: p99BackMs(answers, times),
    outMs: told.outMs,
    returnMs: back === undefined ? null : back.startedAt - times.healedAt,
    attempts: 1 + told.retries / ill.length,
  };
}

/** Windows of half a second, every tenth of one: the first from which on all are at the level of before. */
function p99BackMs(answers: readonly Answer[], { loadedAt, illAt, healedAt }: OutageTimes): number | null {
  const before = p99(answers, loadedAt, illAt);
  const level = Math.max(before * 1.5, before + slackMs);
  const lastFrom = healedAt - undisturbedMs - windowMs;
  for (let from = lastFrom; from > illAt - stepMs; from -= stepMs) {
    if (p99(answers, from, from + windowMs) > level) return from > lastFrom - stepMs ? null : from + stepMs - illAt;
  }
  return 0;
}

export function p99(answers: readonly Answer[], from: number, to: number): number {
  const times = answers.filter(({ startedAt }) => startedAt >= from && startedAt < to).map(({ elapsedMs }) => elapsedMs).sort((a, b) => a - b);
  return times[Math.floor(times.length * 0.99)] ?? Number.NaN;
}

/** What two quiet half seconds may differ by. */
const slackMs = 5;
const windowMs = 500;
/** What is asked for last is still under way when the instance heals, and waits for what this process does then: it tells of that, not of the outage. */
const undisturbedMs = 200;
const stepMs = 100;
/** At its even share an instance has answered so many after a tenth of a second. */
const returnedAfter = 5;
