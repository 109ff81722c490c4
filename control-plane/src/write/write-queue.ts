import { WriteError } from './write-error.ts';

/** Runs writes one after the other; refuses what is beyond its bound instead of letting callers wait for ever. */
export interface WriteQueue {
  run<T>(work: () => Promise<T>): Promise<T>;
  /** Writes that wait or run. */
  depth(): number;
  /** Refuses what comes from now on; resolves when what was accepted is done. */
  stop(): Promise<void>;
}

export function createWriteQueue(waitingMax: number): WriteQueue {
  let last: Promise<unknown> = Promise.resolve();
  let depth = 0;
  let stopped = false;
  return {
    async run(work) {
      if (stopped) throw new WriteError('stopping', 'the control plane is stopping');
      if (depth >= waitingMax) throw new WriteError('write-queue-full', `${depth} writes are waiting already; try again`);
      depth += 1;
      const turn = last.then(work).finally(() => {
        depth -= 1;
      });
      last = turn.catch(() => undefined);
      return turn;
    },
    depth: () => depth,
    async stop() {
      stopped = true;
      await last;
    },
  };
}
