import type { Detours } from '@remora/policy-kit/detours';
import { Exchange, type Dispatch, type Target } from '@remora/policy-kit/exchange';
import { DrivenAttempt } from './layer-driver.ts';

/** Calls of layers to other destinations: the test is the upstream of each. */
export class DrivenDetours implements Detours {
  /** In the order in which they were made. */
  readonly calls: (DrivenAttempt & { readonly to?: Target })[] = [];

  to(target: Target): Dispatch {
    return (call, response) => {
      const attempt = new DrivenAttempt(call, response);
      this.calls.push(Object.assign(attempt, { to: target }));
      return attempt.bodySink;
    };
  }

  beside(x: Exchange): Exchange {
    return Object.assign(new Exchange(), x);
  }

  get last(): DrivenAttempt & { readonly to?: Target } {
    const call = this.calls.at(-1);
    if (call === undefined) throw new Error('nothing was sent elsewhere');
    return call;
  }
}
