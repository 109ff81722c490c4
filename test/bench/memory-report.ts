import type { ChildProcess } from 'node:child_process';

/** Memory of a process with the probe in it, in bytes. */
export interface MemoryReport {
  readonly residentBytes: number;
  /** After a forced collection. */
  readonly collected: { readonly residentBytes: number; readonly heapBytes: number; readonly externalBytes: number };
}

/** Asks a process that was started with `--import` of `memory-probe.ts` and a channel. */
export function askMemory(child: ChildProcess): Promise<MemoryReport> {
  return new Promise((resolve, reject) => {
    child.once('message', (report) => resolve(report as MemoryReport));
    child.send({}, (error) => {
      if (error) reject(error);
    });
  });
}
