import type { Clock } from '@remora/core/clock';
import type { Steps } from '@remora/core/steps';

/** How long one slice may take: streams, heartbeats and other requests wait no longer for it. */
const sliceMs = 10;

/** Runs long computations a little at a time, so that the event loop is never held. */
export interface Slices {
  run<T>(steps: Steps<T>): Promise<T>;
}

/** `soon` runs something in a later turn of the event loop, after what came in meanwhile: `setImmediate`, or the simulator's. */
export function createSlices({ clock, soon }: { readonly clock: Clock; readonly soon: (run: () => void) => void }): Slices {
  return {
    async run(steps) {
      let until = clock.monotonicMs() + sliceMs;
      for (;;) {
        const step = steps.next();
        if (step.done === true) return step.value;
        if (clock.monotonicMs() < until) continue;
        await new Promise<void>((resolve) => { soon(resolve); });
        until = clock.monotonicMs() + sliceMs;
      }
    },
  };
}
