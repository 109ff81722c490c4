import { mkdir, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory } from '../config/snapshot-slots.ts';
import type { IssuerKeyDisk, StoredKeys } from './issuer-key-disk.ts';

const fileName = 'issuer-keys.json';
const bytesMax = 32 * 1024 * 1024;

/** One file that only its owner can read and write: who could change it could make tokens. Written beside, synced, renamed, and the directory synced. */
export class FileIssuerKeyDisk implements IssuerKeyDisk {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async load(): Promise<{ readonly keys: readonly StoredKeys[]; readonly problem: string }> {
    try {
      const text = await readFile(path.join(this.#directory, fileName), 'utf8');
      const keys = text.length > bytesMax ? null : parse(text);
      return keys === null ? { keys: [], problem: `${fileName} is damaged, or from another version` } : { keys, problem: '' };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return { keys: [], problem: code === 'ENOENT' ? '' : `${fileName} cannot be read: ${code ?? 'unknown error'}` };
    }
  }

  async write(keys: readonly StoredKeys[]): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const file = path.join(this.#directory, fileName);
    const handle = await open(`${file}.new`, 'w', 0o600);
    try {
      // A file that somebody left there may have other rights.
      await handle.chmod(0o600);
      await handle.writeFile(JSON.stringify({ version: 1, keys: keys.map(({ name, body, fetchedAtMs }) => ({ name, body: Buffer.from(body).toString('utf8'), fetchedAtMs })) }));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(`${file}.new`, file);
    await syncDirectory(this.#directory);
  }
}

function parse(text: string): readonly StoredKeys[] | null {
  let content: { readonly version?: unknown; readonly keys?: unknown } | null;
  try {
    content = JSON.parse(text) as typeof content;
  } catch {
    return null;
  }
  if (typeof content !== 'object' || content?.version !== 1 || !Array.isArray(content.keys)) return null;
  const found = content.keys.map(readOne);
  return found.some((one) => one === null) ? null : found.filter((one) => one !== null);
}

function readOne(value: unknown): StoredKeys | null {
  const { name, body, fetchedAtMs } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof name !== 'string' || typeof body !== 'string' || typeof fetchedAtMs !== 'number') return null;
  return { name, body: Buffer.from(body), fetchedAtMs };
}
