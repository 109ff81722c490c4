import { parentPort, workerData } from 'node:worker_threads';
import { emptyDecision } from '../algorithm.ts';
import { CellTable } from '../cell-table.ts';
import { createGcra } from '../gcra.ts';

/** Takes from a few keys of a shared table as fast as it can, and says how many requests it was allowed per key. */
const { buffer, cellCount, keys, tries, burst } = workerData as { buffer: SharedArrayBuffer; cellCount: number; keys: number; tries: number; burst: number };
const table = new CellTable(buffer, cellCount);
const algorithm = createGcra({ requests: 1, perMs: 86_400_000, burst, cost: 1, queue: false });
const out = emptyDecision();
const allowed = Array.from({ length: keys }, () => 0);

for (let i = 0; i < tries; i += 1) {
  const key = i % keys;
  const at = table.acquire(key, key * 2 + 1, algorithm, 1000);
  algorithm.decide(table.cells, at, 1000, true, out);
  table.release(key);
  if (out.allowed) allowed[key] = (allowed[key] ?? 0) + 1;
}
const report = { allowed, stolenLocks: table.stolenLocks };
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of node:worker_threads has no origin
parentPort?.postMessage(report);
