import { HOLD, WAIT, type Answer, type EdgeFilter, type Exchange, type HeldBody } from '@remora/policy-kit/exchange';
import { heldBody } from './held-body.ts';

/** Asks a filter that may wait for other threads, or want the body; answers when it has gone on, with the refusal where it made one. */
export function driveLater(filter: EdgeFilter, x: Exchange, body: HeldBody = heldBody('')): Promise<Answer | null> {
  return new Promise((resolve) => {
    const settle = (answer: Answer | null) => (token: number): void => {
      if (token !== x.token) return;
      x.token += 1;
      resolve(answer);
    };
    x.proceed = settle(null);
    x.answer = (token, answer) => settle(answer)(token);
    const holding = (): void => {
      const verdict = filter.requestHeld?.(x, body) ?? null;
      if (verdict !== WAIT) resolve(verdict);
    };
    x.hold = (token) => {
      if (token !== x.token) return;
      x.token += 1;
      holding();
    };
    const verdict = filter.request?.(x) ?? null;
    if (verdict === HOLD) holding();
    else if (verdict !== WAIT) resolve(verdict);
  });
}
