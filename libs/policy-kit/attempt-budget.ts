/**
 * What one caller may add to the load of one destination: shared by all threads and by everything that makes further attempts of its calls. The layer of
 * `retry`, which is around the others, hands it on with each call.
 */
export interface AttemptBudget {
  /** Asks for one further attempt. False: none is left; whoever asked goes without. */
  take(nowMs: number): boolean;
}
