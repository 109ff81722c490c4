import type { Answer, Traffic } from '../processes/traffic.ts';

/**
 * How long requests took, in answers that other traffic got meanwhile: a clock that a busy machine slows down as much as what it measures. A request that is
 * held up by something else than the machine lets many of the others by.
 */
export class InStep {
  readonly #pace: Traffic;

  /** `pace`: traffic of the same kind that what is looked at cannot touch. */
  constructor(pace: Traffic) {
    this.#pace = pace;
  }

  /** Answers of the other traffic while the request was under way, for each request; ascending. */
  overtakings(answers: readonly Answer[]): readonly number[] {
    const ends = this.#pace.answers.map(endOf).sort((a, b) => a - b);
    return answers.map((answer) => below(ends, endOf(answer)) - below(ends, answer.startedAt)).sort((a, b) => a - b);
  }
}

function endOf({ startedAt, elapsedMs }: Answer): number {
  return startedAt + elapsedMs;
}

/** How many of the ascending values are below `limit`. */
function below(values: readonly number[], limit: number): number {
  let from = 0;
  for (let to = values.length; from < to;) {
    const middle = (from + to) >> 1;
    if ((values[middle] as number) < limit) from = middle + 1;
    else to = middle;
  }
  return from;
}
