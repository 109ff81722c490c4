import type { CallLimit } from '@remora/policy-kit/exchange';

/** Why a failed attempt was the last: for people who ask, as fields of the section. Constants: telling costs nothing. */
export const noFurther = {
  allMade: cause('/retries', 'all retries have been made'),
  budgetSpent: cause('/budget', 'the budget of retries to this destination is spent'),
  noTime: cause('', 'no time was left for another attempt'),
  notAmong: cause('/retryOn', 'retryOn does not name this failure'),
  sameAgain: cause('', 'another attempt would meet the same'),
  notIdempotent: cause('/retryOn', 'the method is not idempotent, and the instance may have begun'),
  bodyGone: cause('/replayBuffer', 'the body of the request could not be sent again'),
  retryAfter: cause('/retryAfterMax', 'the instance asks for more patience than retryAfterMax'),
  retryOfOther: cause('/guard', 'the request is itself a retry of a hop before this one'),
  saidSo: cause('/guard', 'the instance says that the hops behind it have tried all they may'),
} as const satisfies Record<string, CallLimit>;

export type NoFurther = CallLimit;

function cause(pointer: string, detail: string): CallLimit {
  return Object.freeze({ kind: 'retry', pointer, detail });
}
