import { readFileSync } from 'node:fs';

/**
 * How many client connections the threads of this process may hold together. Each may need a second descriptor towards an upstream, and what
 * Remora needs itself (control stream, files, admin) must never run out: on EMFILE accepts fail without a word.
 */
export function clientConnectionsMax(openFilesMax = softLimit()): number {
  return Math.max(64, Math.floor((openFilesMax - reserved) / 2));
}

/** Soft limit of open files; where it cannot be read, the smallest that systems usually have. */
function softLimit(): number {
  try {
    const line = readFileSync('/proc/self/limits', 'utf8').split('\n').find((text) => text.startsWith('Max open files'));
    const soft = Number(line?.split(/\s{2,}/)[1]);
    return Number.isFinite(soft) ? soft : fallback;
  } catch {
    return fallback;
  }
}

const fallback = 1024;
const reserved = 128;
