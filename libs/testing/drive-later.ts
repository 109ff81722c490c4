import { WAIT, type Answer, type EdgeFilter, type Exchange } from '@remora/policy-kit/exchange';

/** Asks a filter that may wait for other threads; answers when it has gone on, with the refusal where it made one. */
export function driveLater(filter: EdgeFilter, x: Exchange): Promise<Answer | null> {
  return new Promise((resolve) => {
    const settle = (answer: Answer | null) => (token: number): void => {
      if (token !== x.token) return;
      x.token += 1;
      resolve(answer);
    };
    x.proceed = settle(null);
    x.answer = (token, answer) => settle(answer)(token);
    const verdict = filter.request?.(x) ?? null;
    if (verdict !== WAIT) resolve(verdict);
  });
}
