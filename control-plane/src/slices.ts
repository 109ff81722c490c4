import type { Clock } from '@remora/core/clock';
import type { Steps } from '@remora/core/steps';

/** How long one slice may take: streams, heartbeats and other requests wait no longer for it. */
const sliceMs = 10;

/** Runs long computations a little at a time, so that the event loop is never held. */
export interface Slices {
  run<T>(steps: Steps<T>): Promise<T>;
  /** Lets others run: between two computations that each take as long as a slice may. */
  pause(): Promise<void>;
}

/** `soon` runs something in a later turn of the event loop, after what came in meanwhile: `setImmediate`, or the simulator's. */
export function createSlices({ clock, soon }: { readonly clock: Clock; readonly soon: (run: () => void) => void }): Slices {
  const pause = (): Promise<void> => new Promise((resolve) => { soon(resolve); });
  return {
    pause,
    async run(steps) {
      let until = clock.monotonicMs() + sliceMs;
      for (;;) {
        const step = steps.next();
        if (step.done === true) return step.value;
        if (clock.monotonicMs() < until) continue;
        await pause();
        until = clock.monotonicMs() + sliceMs;
      }
    },
  };
}
