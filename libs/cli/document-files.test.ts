import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readDocumentFiles } from './document-files.ts';
import { processTerminal } from './terminal.ts';
import type { Terminal } from './terminal.ts';

describe('files of documents', () => {
  let cwd = '';
  beforeAll(async () => {
    cwd = await mkdtemp(path.join(tmpdir(), 'remora-files-'));
    await mkdir(path.join(cwd, 'mesh/deep/er'), { recursive: true });
    await mkdir(path.join(cwd, 'mesh/.git'), { recursive: true });
    await mkdir(path.join(cwd, 'empty'));
    for (const file of ['mesh/b.yaml', 'mesh/a.yml', 'mesh/c.json', 'mesh/notes.md', 'mesh/.hidden.yaml', 'mesh/.git/x.yaml', 'mesh/deep/er/d.yaml', 'plain.txt']) await writeFile(path.join(cwd, file), file);
    await symlink(path.join(cwd, 'mesh'), path.join(cwd, 'mesh/deep/loop.yaml'));
  });
  afterAll(() => rm(cwd, { recursive: true, force: true }));

  const terminal = (stdin = ''): Terminal => ({ ...processTerminal(new AbortController().signal, {}), cwd, readStdin: () => Promise.resolve(Buffer.from(stdin)) });
  const namesOf = async (names: readonly string[]): Promise<string[]> => (await readDocumentFiles(names, terminal())).map(({ name }) => name);

  test.each([
    { names: ['mesh/b.yaml'], found: ['mesh/b.yaml'] },
    { names: ['plain.txt'], found: ['plain.txt'] },
    { names: ['mesh/deep/er'], found: ['mesh/deep/er/d.yaml'] },
    { names: ['mesh/b.yaml', './mesh/b.yaml'], found: ['mesh/b.yaml'] },
    { names: ['mesh/b.yaml', '-'], found: ['mesh/b.yaml', '-'] },
  ])('$names', async ({ names, found }) => {
    expect(await namesOf(names)).toEqual(found);
  });

  test('a folder that contains itself ends with a clear error', async () => {
    await expect(namesOf(['mesh'])).rejects.toThrow(/levels deep at most/);
  });

  test.each([
    { names: ['nowhere'], says: 'nowhere: there is no such file or folder' },
    { names: ['empty'], says: 'no *.yaml, *.yml or *.json in empty' },
  ])('$says', async ({ names, says }) => {
    await expect(namesOf(names)).rejects.toThrow(says);
  });
});
