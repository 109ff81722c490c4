import type { RefusalRecord } from '../threads/data-plane.ts';

/** Where refusals go: batched to the control thread. */
export interface RefusalSink {
  add(record: RefusalRecord): void;
}
