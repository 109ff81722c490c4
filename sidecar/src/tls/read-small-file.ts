import { open } from 'node:fs/promises';

/** Text of a regular file of at most 1 MiB; rejects with one sentence for people. */
export async function readSmallFile(path: string): Promise<string> {
  return (await readBoundedFile(path, 1)).toString('utf8');
}

/** The bytes of a regular file of at most so many MiB; rejects with one sentence for people. */
export async function readBoundedFile(path: string, mebibytesMax: number): Promise<Buffer> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${path} cannot be read: ${systemWords.get(error.code ?? '') ?? error.code ?? 'unknown error'}`);
  });
  try {
    const facts = await handle.stat();
    if (!facts.isFile()) throw new Error(`${path} is not a file`);
    if (facts.size > mebibytesMax * 1024 * 1024) throw new Error(`${path} has more than ${mebibytesMax} MiB`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

const systemWords: ReadonlyMap<string, string> = new Map([['ENOENT', 'there is no such file'], ['EACCES', 'permission denied'], ['EISDIR', 'it is a folder']]);
