import { mkdir, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory } from '../config/snapshot-slots.ts';
import type { IdentityParts } from './held-identity.ts';
import type { IdentityDisk, StoredIdentity } from './identity-disk.ts';

const fileName = 'identity.json';
const bytesMax = 256 * 1024;
const nothing: StoredIdentity = { held: null, joining: null };

/** One file that only its owner can read, written beside, synced, renamed, and the directory synced. */
export class FileIdentityDisk implements IdentityDisk {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async load(): Promise<{ readonly stored: StoredIdentity; readonly problem: string }> {
    let text: string;
    try {
      text = await readFile(path.join(this.#directory, fileName), 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return { stored: nothing, problem: code === 'ENOENT' ? '' : `${fileName} cannot be read: ${code ?? 'unknown error'}` };
    }
    const stored = text.length > bytesMax ? null : parse(text);
    return stored === null ? { stored: nothing, problem: `${fileName} is damaged, or from another version` } : { stored, problem: '' };
  }

  async write({ held, joining }: StoredIdentity): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const file = path.join(this.#directory, fileName);
    const handle = await open(`${file}.new`, 'w', 0o600);
    try {
      // A file that somebody left there may have other rights.
      await handle.chmod(0o600);
      await handle.writeFile(JSON.stringify({ version: 1, held: held && partsJson(held), joining: joining && base64(joining) }));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(`${file}.new`, file);
    await syncDirectory(this.#directory);
  }
}

function partsJson({ key, chain, roots, trustDomain, recoverUntilMs, ownRoot, joinedPin }: IdentityParts): object {
  return { key: base64(key), chain: chain.map(base64), roots: roots.map(base64), trustDomain, recoverUntilMs, ...(ownRoot && { ownRoot: base64(ownRoot) }), ...(joinedPin !== undefined && { joinedPin }) };
}

function parse(text: string): StoredIdentity | null {
  let content: { readonly version?: unknown; readonly held?: unknown; readonly joining?: unknown } | null;
  try {
    content = JSON.parse(text) as typeof content;
  } catch {
    return null;
  }
  if (typeof content !== 'object' || content?.version !== 1) return null;
  const { held, joining } = content;
  const parts = held === null ? null : readParts(held);
  if (parts === undefined || (joining !== null && typeof joining !== 'string')) return null;
  return { held: parts, joining: joining === null ? null : Buffer.from(joining, 'base64') };
}

function readParts(value: unknown): IdentityParts | undefined {
  const { key, chain, roots, trustDomain, recoverUntilMs, ownRoot, joinedPin } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof key !== 'string' || typeof trustDomain !== 'string' || typeof recoverUntilMs !== 'number' || !areTexts(chain) || !areTexts(roots)) return undefined;
  if ((ownRoot !== undefined && typeof ownRoot !== 'string') || (joinedPin !== undefined && typeof joinedPin !== 'string')) return undefined;
  const bytes = (each: string): Buffer => Buffer.from(each, 'base64');
  return { key: bytes(key), chain: chain.map(bytes), roots: roots.map(bytes), trustDomain, recoverUntilMs, ...(ownRoot !== undefined && { ownRoot: bytes(ownRoot) }), ...(joinedPin !== undefined && { joinedPin }) };
}

function areTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length <= 64 && value.every((each) => typeof each === 'string');
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
