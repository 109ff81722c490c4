import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const examples = path.resolve(import.meta.dirname, '../../deploy/examples');
const folders = readdirSync(examples, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name);
/** A script waits a minute for a condition before it gives up; none needs more than a few seconds. */
const longestMs = 240_000;

interface Ended {
  readonly code: number | string | null;
  readonly text: string;
}

/** Runs a script as a process of its own, as its reader would. Ends it where it hangs. */
function runScript(file: string): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [file], { timeout: longestMs, killSignal: 'SIGTERM', env: { ...process.env, NO_COLOR: '1' } }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? null), text: `${stdout}${stderr}` });
    });
  });
}

describe('examples', () => {
  test('each folder has documents and a script, and the list names it', () => {
    const list = readFileSync(path.join(examples, 'README.md'), 'utf8');
    expect(folders.length).toBeGreaterThan(4);
    for (const folder of folders) {
      expect(existsSync(path.join(examples, folder, 'run.ts')), folder).toBe(true);
      expect(readdirSync(path.join(examples, folder)).some((file) => file.endsWith('.yaml')), folder).toBe(true);
      expect(list).toContain(`[${folder}](`);
    }
  });

  test.each(folders)('%s does what its script says', { timeout: longestMs + 10_000 }, async (folder) => {
    const { code, text } = await runScript(path.join(examples, folder, 'run.ts'));
    expect(code, text).toBe(0);
    expect(text).toContain('everything holds');
  });
});
