import { readFile, readdir, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { CommandFailure } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

/** Text of one input, with the name people know it by. */
export interface DocumentFile {
  /** Relative to the working folder; `-` for standard input. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** All input together is refused beyond this. */
const inputBytesMax = 64 * 1024 * 1024;
const filesMax = 10_000;
const depthMax = 16;
const extensions = ['.yaml', '.yml', '.json'];

/**
 * Files, folders (recursively: *.yaml, *.yml, *.json, hidden ones left out, sorted by name) and `-`, in the order given.
 * A file named directly is read whatever its extension.
 */
export async function readDocumentFiles(names: readonly string[], terminal: Terminal): Promise<DocumentFile[]> {
  const files: DocumentFile[] = [];
  let size = 0;
  for (const path of await listDocumentFiles(names, terminal)) {
    const file = path === '-' ? { name: '-', bytes: await terminal.readStdin(inputBytesMax) } : await readOne(path, terminal.cwd);
    size += file.bytes.length;
    if (size > inputBytesMax) throw new CommandFailure(exitCodes.usage, `the input is larger than ${inputBytesMax / 1024 ** 2} MiB`);
    files.push(file);
  }
  if (files.length === 0) throw new CommandFailure(exitCodes.usage, `no *.yaml, *.yml or *.json in ${names.join(', ')}`);
  return files;
}

/** Absolute paths of the files that would be read; `-` stays. */
export async function listDocumentFiles(names: readonly string[], terminal: Terminal): Promise<string[]> {
  const paths: string[] = [];
  for (const name of names) {
    if (name === '-') paths.push('-');
    else await collect({ path: resolve(terminal.cwd, name), cwd: terminal.cwd, depth: 0 }, paths);
  }
  return [...new Set(paths)];
}

interface Visit {
  readonly path: string;
  readonly cwd: string;
  readonly depth: number;
}

async function collect({ path, cwd, depth }: Visit, into: string[]): Promise<void> {
  const info = await stat(path).catch((error: unknown) => failRead(shownName(path, cwd), error));
  if (info.isFile()) into.push(path);
  if (!info.isDirectory()) return;
  if (depth >= depthMax) throw new CommandFailure(exitCodes.usage, `${shownName(path, cwd)}: folders are read ${depthMax} levels deep at most`);
  const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => failRead(shownName(path, cwd), error));
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.')) continue;
    const isDocument = extensions.some((extension) => entry.name.endsWith(extension));
    if (entry.isDirectory() || isDocument) await collect({ path: join(path, entry.name), cwd, depth: depth + 1 }, into);
    if (into.length > filesMax) throw new CommandFailure(exitCodes.usage, `more than ${filesMax} files`);
  }
}

async function readOne(path: string, cwd: string): Promise<DocumentFile> {
  const name = shownName(path, cwd);
  const bytes = await readFile(path).catch((error: unknown) => failRead(name, error));
  return { name, bytes };
}

/** Relative to the working folder, where the file is inside it. */
function shownName(path: string, cwd: string): string {
  const shown = relative(cwd, path);
  if (shown === '') return '.';
  return shown.startsWith('..') ? path : shown;
}

function failRead(name: string, error: unknown): never {
  const { code, message } = error as NodeJS.ErrnoException;
  const reason = code === 'ENOENT' ? 'there is no such file or folder' : code === 'EACCES' ? 'no permission to read it' : message;
  throw new CommandFailure(exitCodes.usage, `${name}: ${reason}`, { cause: error });
}
