/**
 * Loaded into a measured process before its program (`--import`): answers its parent with what its memory is, as it stands and
 * after everything that nobody holds was collected.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { MemoryReport } from './memory-report.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Freed pages go back to the system a moment later. */
const settleMs = 1_500;

process.on('message', () => {
  const standing = process.memoryUsage();
  collect();
  collect();
  setTimeout(() => {
    const collected = process.memoryUsage();
    const report: MemoryReport = { residentBytes: standing.rss, collected: { residentBytes: collected.rss, heapBytes: collected.heapUsed, externalBytes: collected.external } };
    process.send?.(report);
  }, settleMs);
});
// Only the program decides how long the process lives.
process.channel?.unref();
