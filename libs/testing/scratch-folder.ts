import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A new folder for what a test or benchmark writes. It is removed when the process ends, also after a failure; in tests with the folder of the run. */
export function scratchFolder(name: string): string {
  if (folders.length === 0) process.once('exit', removeAll);
  const folder = mkdtempSync(path.join(tmpdir(), `remora-${name}-`));
  folders.push(folder);
  return folder;
}

const folders: string[] = [];

function removeAll(): void {
  // Programs that were killed a moment ago may still be writing.
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
}
