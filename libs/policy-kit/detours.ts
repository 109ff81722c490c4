import type { Dispatch, Exchange, Target } from './exchange.ts';

/** Ways to other destinations than the one that a call was for. */
export interface Detours {
  /**
   * Calls to another destination that the sidecar knows (`dependsOn`, or a destination of the gateway's Routes), through what holds for that one: its
   * Routes, limits, retries, balancing. Looked up at each call; where it is not known, the call ends with `unknown-destination`. Whoever dispatches gives a
   * `freshCall`, with the head that is to be sent; its Host becomes the service's name where it was the first destination's.
   */
  to(target: Target): Dispatch;
  /** An exchange beside one that exists, for a call that nobody waits for: it has the same head, connection and identity, and ends when nobody holds it. */
  beside(x: Exchange): Exchange;
}
