import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/**
 * For `globalSetup` of vitest: whatever a run writes into the folder for temporary files goes into one of its own, which is removed behind the last test, also after
 * failures. Workers of a run have no last moment in which they could remove theirs.
 */
export default function useRunFolder(): () => void {
  const folder = mkdtempSync(path.join(tmpdir(), 'remora-tests-'));
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = folder;
  return () => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
    // Programs that were killed a moment ago may still be writing.
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  };
}
