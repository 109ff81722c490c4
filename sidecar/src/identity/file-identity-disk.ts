import { mkdir, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import type { DiskKey } from '../config/disk-key.ts';
import { syncDirectory } from '../config/snapshot-slots.ts';
import type { IdentityParts } from './held-identity.ts';
import type { IdentityDisk, StoredIdentity } from './identity-disk.ts';

const fileName = 'identity.json';
const bytesMax = 256 * 1024;
const nothing: StoredIdentity = { held: null, joining: null };

/** Authenticated with what is encrypted: it opens as nothing else. */
const sealedAs = Buffer.from(fileName);

/**
 * One file that only its owner can read, written beside, synced, renamed, and the directory synced. With a key it is encrypted; one from before there was a key is
 * read, and encrypted with the next write, which comes at once. One that another key is needed for is set aside before anything is written in its place.
 */
export class FileIdentityDisk implements IdentityDisk {
  readonly #directory: string;
  readonly #key: DiskKey | null;
  #setAside = false;

  constructor(directory: string, key: DiskKey | null = null) {
    this.#directory = directory;
    this.#key = key;
  }

  async load(): Promise<{ readonly stored: StoredIdentity; readonly problem: string }> {
    let text: string;
    try {
      text = await readFile(path.join(this.#directory, fileName), 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return { stored: nothing, problem: code === 'ENOENT' ? '' : `${fileName} cannot be read: ${code ?? 'unknown error'}` };
    }
    const unsealed = text.length > bytesMax ? null : this.#unseal(text);
    if (typeof unsealed === 'object' && unsealed !== null) {
      this.#setAside = true;
      return { stored: nothing, problem: unsealed.problem };
    }
    const stored = unsealed === null ? null : parse(unsealed);
    if (stored === null) return { stored: nothing, problem: `${fileName} is damaged, or from another version` };
    if (this.#key !== null && unsealed === text) await this.write(stored).catch(() => {});
    return { stored, problem: '' };
  }

  /** The text as it was before it was encrypted; null where it is damaged. */
  #unseal(text: string): string | { readonly problem: string } | null {
    const sealed = readSealed(text);
    if (sealed === null) return text;
    if (this.#key === null) return { problem: `${fileName} is encrypted, and no key is given (--snapshot-key-file, REMORA_SNAPSHOT_KEY); it is kept beside` };
    if (sealed.key !== this.#key.id) return { problem: `${fileName} is encrypted with another key than the one that is given; it is kept beside` };
    return this.#key.open(sealedAs, sealed.nonce, sealed.data)?.toString('utf8') ?? null;
  }

  #seal(text: string): string {
    if (this.#key === null) return text;
    const nonce = this.#key.newNonce();
    const data = Buffer.concat([...this.#key.seal(sealedAs, nonce, [Buffer.from(text)])]);
    return JSON.stringify({ version: 2, cipher: 'aes-256-gcm', key: this.#key.id, nonce: base64(nonce), data: base64(data) });
  }

  async write({ held, joining }: StoredIdentity): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const file = path.join(this.#directory, fileName);
    if (this.#setAside) {
      await rename(file, `${file}.other-key`).catch(() => {});
      this.#setAside = false;
    }
    const handle = await open(`${file}.new`, 'w', 0o600);
    try {
      // A file that somebody left there may have other rights.
      await handle.chmod(0o600);
      await handle.writeFile(this.#seal(JSON.stringify({ version: 1, held: held && partsJson(held), joining: joining && base64(joining) })));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(`${file}.new`, file);
    await syncDirectory(this.#directory);
  }
}

/** null: it is not encrypted. */
function readSealed(text: string): { readonly key: string; readonly nonce: Buffer; readonly data: Buffer } | null {
  let content: { readonly version?: unknown; readonly cipher?: unknown; readonly key?: unknown; readonly nonce?: unknown; readonly data?: unknown } | null;
  try {
    content = JSON.parse(text) as typeof content;
  } catch {
    return null;
  }
  if (typeof content !== 'object' || content?.version !== 2 || content.cipher !== 'aes-256-gcm') return null;
  const { key, nonce, data } = content;
  if (typeof key !== 'string' || typeof nonce !== 'string' || typeof data !== 'string') return null;
  return { key, nonce: Buffer.from(nonce, 'base64'), data: Buffer.from(data, 'base64') };
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
