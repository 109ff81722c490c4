import { contentHash } from '@remora/core/hash';
import type { Steps } from '@remora/core/steps';
import type { Subject } from '@remora/core/subject';
import { EntryType, Manifest } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { Entry } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { CompiledSubject } from './compilation.ts';
import { sortInSteps } from '../sort-in-steps.ts';
import type { BuiltResource, ResourceStore } from './resource-store.ts';

/** A page never has more entries, and never more bytes than a resource may have. */
const pageEntriesMax = 4_096;
const pageBytesMax = 192 * 1024;
const entriesPerStep = 1_024;

/** Bytes of an entry besides its name: hash, type, tags and lengths. */
const entryOverheadBytes = 48;

interface NamedPart {
  readonly type: EntryType;
  readonly name: string;
  readonly resource: BuiltResource;
}

/** Collects what one subject enforces; the order in which it is added does not matter. */
export class ManifestBuilder {
  readonly #entries: NamedPart[] = [];
  /** By hash: equal settings may come as different objects, where one of them was forgotten and built again. */
  readonly #settings = new Map<string, BuiltResource>();

  /** A named part: once for each name. */
  add(type: EntryType, name: string, resource: BuiltResource): void {
    this.#entries.push({ type, name, resource });
  }

  /** Settings are shared by parts, and listed once. */
  addSettings(resource: BuiltResource): void {
    this.#settings.set(resource.hash, resource);
  }

  *finish(subject: Subject, destinations: readonly string[], store: ResourceStore): Steps<Omit<CompiledSubject, 'needs'>> {
    for (const resource of this.#settings.values()) this.#entries.push({ type: EntryType.ENTRY_TYPE_SETTINGS, name: '', resource });
    const entries = yield* sortInSteps(this.#entries, (a, b) => a.type - b.type || order(a.name, b.name) || order(a.resource.hash, b.resource.hash));
    const resources = new Map<string, Uint8Array>();
    let format = 1;
    for (const { resource } of entries) {
      resources.set(resource.hash, resource.bytes);
      format = Math.max(format, resource.format);
      if (resources.size % entriesPerStep === 0) yield;
    }
    const pages: BuiltResource[] = [];
    for (const page of paginate(yield* withAddresses(entries))) {
      pages.push(store.build({ $case: 'page', value: { entries: page } }));
      if (page.length >= entriesPerStep) yield;
    }
    for (const page of pages) resources.set(page.hash, page.bytes);
    const manifest = store.encoder.encode(Manifest, {
      subjectKind: subject.kind, subjectName: subject.name, format, pages: pages.map(({ hash }) => Buffer.from(hash, 'hex')), entryCount: entries.length,
    });
    return Object.freeze({ subject, hash: contentHash(manifest), manifest, resources, destinations });
  }
}

const addressBytes = 32;

/** All addresses in one buffer: they live as long as it takes to encode the pages. */
function* withAddresses(parts: readonly NamedPart[]): Steps<Entry[]> {
  const addresses = Buffer.allocUnsafe(parts.length * addressBytes);
  const entries: Entry[] = [];
  for (const { type, name, resource } of parts) {
    const from = entries.length * addressBytes;
    addresses.write(resource.hash, from, addressBytes, 'hex');
    entries.push({ type, name, hash: addresses.subarray(from, from + addressBytes) });
    if (entries.length % entriesPerStep === 0) yield;
  }
  return entries;
}

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
