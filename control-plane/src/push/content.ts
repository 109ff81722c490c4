import { contentHash } from '@remora/core/hash';
import { EntryType, Manifest, Resource } from '@remora/proto/gen/remora/snapshot/v1/snapshot';

/** One manifest with everything it reaches, whatever version it is pushed under. A CompiledSubject is one. */
export interface Content {
  /** SHA-256 (hex) of `manifest`. */
  readonly hash: string;
  readonly manifest: Uint8Array;
  /** Encoded resources by hash, pages included. */
  readonly resources: ReadonlyMap<string, Uint8Array>;
  /** Services whose endpoint sets it needs, sorted. */
  readonly destinations: readonly string[];
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
