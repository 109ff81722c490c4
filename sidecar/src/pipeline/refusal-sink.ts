import type { RefusalRecord } from '../threads/data-plane.ts';

/** Where refusals go: batched to the control thread. */
export interface RefusalSink {
  add(record: RefusalRecord): void;
  /** False: what is added now is only counted, so its record can be short. */
  takesMore(): boolean;
  /** Whether there is room for one more failure that was only passed on: asked before its record is made. */
  takesRelayed(): boolean;
  addRelayed(record: RefusalRecord): void;
}
