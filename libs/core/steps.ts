/**
 * Work that can be put aside between two of its steps: long computations yield wherever they may be interrupted, and whoever
 * runs them decides how long they run at a time. A step takes well under a millisecond or two.
 */
export type Steps<T> = Generator<void, T, void>;

/** Runs everything at once. */
export function runSteps<T>(steps: Steps<T>): T {
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}
