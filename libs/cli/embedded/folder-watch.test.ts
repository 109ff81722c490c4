import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { processTerminal } from '../terminal.ts';
import { watchInputs } from './folder-watch.ts';
import type { FolderWatch } from './folder-watch.ts';

describe('watching documents', () => {
  let cwd = '';
  let watch: FolderWatch | null = null;
  afterEach(async () => {
    watch?.close();
    await rm(cwd, { recursive: true, force: true });
  });

  test('tells a changed, a new and a removed file, and nothing else', async () => {
    cwd = await mkdtemp(path.join(tmpdir(), 'remora-watch-'));
    await writeFile(path.join(cwd, 'a.yaml'), 'a: 1');
    let told: () => void = () => {};
    const next = (): Promise<void> => new Promise((resolve) => { told = resolve; });
    let count = 0;
    watch = watchInputs(['.'], { ...processTerminal(new AbortController().signal, {}), cwd }, () => {
      count += 1;
      told();
    });
    await watch.started;
    for (const change of [() => writeFile(path.join(cwd, 'a.yaml'), 'a: 22'), () => writeFile(path.join(cwd, 'b.yaml'), 'b: 1'), () => rm(path.join(cwd, 'b.yaml'))]) {
      const seen = next();
      await change();
      await seen;
    }
    expect(count).toBe(3);
    await writeFile(path.join(cwd, 'notes.txt'), 'not a document');
    const seen = next();
    await writeFile(path.join(cwd, 'a.yaml'), 'a: 333');
    await seen;
    expect(count).toBe(4);
  });
});
