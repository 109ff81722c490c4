import { contentHash } from '@remora/core/hash';
import type { Subject } from '@remora/core/subject';
import { Manifest } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { Entry, EntryType } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { CompiledSubject } from './compilation.ts';
import type { BuiltResource, ResourceStore } from './resource-store.ts';

/** A page never has more entries, and never more bytes than a resource may have. */
const pageEntriesMax = 4_096;
const pageBytesMax = 192 * 1024;

/** Bytes of an entry besides its name: hash, type, tags and lengths. */
const entryOverheadBytes = 48;

/** Collects what one subject enforces; the order in which it is added does not matter. */
export class ManifestBuilder {
  readonly #entries = new Map<string, { readonly type: EntryType; readonly name: string; readonly resource: BuiltResource }>();

  add(type: EntryType, name: string, resource: BuiltResource): void {
    this.#entries.set(`${type} ${name} ${type === settingsType ? resource.hash : ''}`, { type, name, resource });
  }

  finish(subject: Subject, format: number, destinations: readonly string[], store: ResourceStore): CompiledSubject {
    const entries = [...this.#entries.values()].sort((a, b) => a.type - b.type || order(a.name, b.name) || order(a.resource.hash, b.resource.hash));
    const resources = new Map<string, Uint8Array>();
    for (const { resource } of entries) resources.set(resource.hash, resource.bytes);
    const pages = paginate(entries.map(({ type, name, resource }) => ({ type, name, hash: resource.hashBytes }))).map((page) => store.build({ $case: 'page', value: { entries: page } }));
    for (const page of pages) resources.set(page.hash, page.bytes);
    const manifest = Manifest.encode({
      subjectKind: subject.kind, subjectName: subject.name, format, pages: pages.map(({ hashBytes }) => hashBytes), entryCount: entries.length,
    }).finish();
    return Object.freeze({ subject, hash: contentHash(manifest), manifest, resources, destinations });
  }
}

const settingsType = 6;

function paginate(entries: readonly Entry[]): Entry[][] {
  const pages: Entry[][] = [];
  let page: Entry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = entry.name.length * 3 + entryOverheadBytes;
    if (page.length >= pageEntriesMax || bytes + size > pageBytesMax) {
      pages.push(page);
      page = [];
      bytes = 0;
    }
    page.push(entry);
    bytes += size;
  }
  if (page.length > 0) pages.push(page);
  return pages;
}

function order(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
