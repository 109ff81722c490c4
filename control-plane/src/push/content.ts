import { contentHash } from '@remora/core/hash';
import { EntryType, Manifest, Resource } from '@remora/proto/gen/remora/snapshot/v1/snapshot';

/** What has to be known of the content that a sidecar has, to bring it from there to another. */
export interface BaseContent {
  readonly hash: string;
  readonly resources: { has(hash: string): boolean };
  readonly destinations: readonly string[];
}

/** One manifest with everything it reaches, whatever version it is pushed under. A CompiledSubject is one. */
export interface Content extends BaseContent {
  /** SHA-256 (hex) of `manifest`. */
  readonly hash: string;
  readonly manifest: Uint8Array;
  /** Encoded resources by hash, pages included. */
  readonly resources: ReadonlyMap<string, Uint8Array>;
  /** Services whose endpoint sets it needs, sorted. */
  readonly destinations: readonly string[];
}

/**
 * What a sidecar that has this manifest has, without its bytes: a large one would hold everything else up while they are read. Null where it is not
 * kept any more.
 */
export function loadBase(hash: string, store: { blob(hash: string): Uint8Array | null; references(manifest: string): readonly string[] | null }): BaseContent | null {
  const references = store.references(hash);
  const manifest = references && store.blob(hash);
  if (!manifest || contentHash(manifest) !== hash) return null;
  const destinations: string[] = [];
  // Entries are sorted by their type: destinations stand on the first pages.
  for (const pageHash of Manifest.decode(manifest).pages) {
    const page = store.blob(pageHash.toString('hex'));
    const body = page && contentHash(page) === pageHash.toString('hex') ? Resource.decode(page).body : undefined;
    if (body?.$case !== 'page') return null;
    for (const { type, name } of body.value.entries) if (type === EntryType.ENTRY_TYPE_DESTINATION) destinations.push(name);
    if ((body.value.entries.at(-1)?.type ?? 0) > EntryType.ENTRY_TYPE_DESTINATION) break;
  }
  return { hash, resources: new Set(references), destinations: destinations.sort() };
}

/** Reads a manifest back from the store. Null where a part of it is not kept any more, or is not what its address says. */
export function loadContent(hash: string, blob: (hash: string) => Uint8Array | null): Content | null {
  const read = (address: string): Uint8Array | null => {
    const bytes = blob(address);
    return bytes && contentHash(bytes) === address ? bytes : null;
  };
  const manifest = read(hash);
  if (!manifest) return null;
  const resources = new Map<string, Uint8Array>();
  const destinations: string[] = [];
  for (const pageHash of Manifest.decode(manifest).pages) {
    const page = read(pageHash.toString('hex'));
    if (!page || !loadPage(page, read, resources, destinations)) return null;
    resources.set(pageHash.toString('hex'), page);
  }
  return { hash, manifest, resources, destinations: destinations.sort() };
}

function loadPage(bytes: Uint8Array, read: (hash: string) => Uint8Array | null, resources: Map<string, Uint8Array>, destinations: string[]): boolean {
  const { body } = Resource.decode(bytes);
  if (body?.$case !== 'page') return false;
  for (const entry of body.value.entries) {
    const hash = entry.hash.toString('hex');
    const resource = resources.get(hash) ?? read(hash);
    if (!resource) return false;
    resources.set(hash, resource);
    if (entry.type === EntryType.ENTRY_TYPE_DESTINATION) destinations.push(entry.name);
  }
  return true;
}
