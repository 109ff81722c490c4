import { cpus, release, totalmem } from 'node:os';
import type { BenchDocument } from './bench-document.ts';

/** The machine a figure belongs to. */
export function describeMachine(): BenchDocument['machine'] {
  const processors = cpus();
  return {
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    node: process.version,
    kernel: release(),
  };
}
