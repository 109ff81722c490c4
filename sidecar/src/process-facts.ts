import type { ProcessFacts } from './config/config-client.ts';

let lastCpuMicros = 0;
let lastAt = performance.now();

/** Memory and CPU of this process, all threads together. */
export const processFacts: ProcessFacts = {
  rssBytes: () => process.memoryUsage.rss(),
  takeCpuShare() {
    const { user, system } = process.cpuUsage();
    const now = performance.now();
    const share = (user + system - lastCpuMicros) / 1_000 / Math.max(1, now - lastAt);
    lastCpuMicros = user + system;
    lastAt = now;
    return share;
  },
};
