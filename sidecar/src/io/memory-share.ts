import v8 from 'node:v8';

/**
 * How much of the memory that this thread may use is used, 0 to 1: of its own heap, or of what the process may have, whichever is nearer to its limit.
 * `limitBytes`: of the process; 0 takes the container's (cgroup) where there is one.
 */
export function memoryShare(limitBytes: number): number {
  const { used_heap_size: used, heap_size_limit: limit } = v8.getHeapStatistics();
  const processLimit = limitBytes > 0 ? limitBytes : containerLimit;
  const resident = processLimit > 0 ? process.memoryUsage.rss() / processLimit : 0;
  return Math.max(limit > 0 ? used / limit : 0, resident);
}

/** 0: none. Node answers a number beyond any machine where the container sets no limit. */
const containerLimit = limitOfContainer();

function limitOfContainer(): number {
  const bytes = process.constrainedMemory();
  return bytes > 0 && bytes < 2 ** 46 ? bytes : 0;
}
