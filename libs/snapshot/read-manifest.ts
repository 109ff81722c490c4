import { EntryType, Manifest, Resource, type Entry } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { contentHash } from '@remora/core/hash';
import { snapshotFormat } from './build.ts';
import type { DecodeInput } from './candidate.ts';
import type { SnapshotErrors } from './snapshot-error.ts';

export interface ManifestEntry {
  readonly type: EntryType;
  readonly name: string;
  /** Hex. */
  readonly hash: string;
  /** How errors name it. */
  readonly label: string;
}

export const pageEntriesMax = 4_096;
export const manifestEntriesMax = 500_000;
const pagesMax = 4_096;

/**
 * Reads manifest and pages: hash, subject, format, order, duplicates, count. Yields between pages. Answers null where
 * nothing below can be believed.
 */
export function* readManifest(candidate: DecodeInput, errors: SnapshotErrors): Generator<void, readonly ManifestEntry[] | null, void> {
  const fail = (code: string, message: string): null => {
    errors.add({ resource: 'manifest', kind: '', pointer: '', code, message, policies: [] });
    return null;
  };
  if (contentHash(candidate.manifest) !== candidate.hash) return fail('hash-mismatch', 'the manifest is not what its hash says');
  const manifest = decodeManifest(candidate.manifest);
  if (manifest === null) return fail('undecodable', 'the manifest cannot be read');
  if (manifest.format > snapshotFormat) {
    return fail('newer-format', `the snapshot has format ${manifest.format}, this build reads up to ${snapshotFormat}`);
  }
  const { kind, name } = candidate.subject;
  if (manifest.subjectKind !== kind || manifest.subjectName !== name) {
    return fail('wrong-subject', `the snapshot is made for ${manifest.subjectKind} ${manifest.subjectName}, not for ${kind} ${name}`);
  }
  if (manifest.pages.length > pagesMax || manifest.entryCount > manifestEntriesMax) {
    return fail('too-many', `the manifest has more than ${pagesMax} pages or ${manifestEntriesMax} entries`);
  }
  const reader = new PageReader(candidate, errors);
  for (const page of manifest.pages) {
    reader.read(page.toString('hex'));
    yield;
  }
  if (reader.entries.length !== manifest.entryCount) {
    return fail('count-mismatch', `the manifest names ${manifest.entryCount} entries, its pages have ${reader.entries.length}`);
  }
  if (candidate.resources.size !== reader.reached.size) reportUnreached(candidate, reader.reached, errors);
  return reader.entries;
}

class PageReader {
  readonly entries: ManifestEntry[] = [];
  readonly reached = new Set<string>();
  readonly #candidate: DecodeInput;
  readonly #errors: SnapshotErrors;

  constructor(candidate: DecodeInput, errors: SnapshotErrors) {
    this.#candidate = candidate;
    this.#errors = errors;
  }

  read(hash: string): void {
    this.reached.add(hash);
    const resource = `page ${hash.slice(0, 12)}`;
    const bytes = this.#candidate.resources.get(hash);
    if (!bytes) return this.#fail(resource, 'missing-resource', 'is named by the manifest and was not sent');
    const body = decodeResource(bytes)?.body;
    if (body?.$case !== 'page') return this.#fail(resource, 'wrong-type', 'is not a page');
    if (body.value.entries.length > pageEntriesMax) {
      return this.#fail(resource, 'too-many', `must have at most ${pageEntriesMax} entries, has ${body.value.entries.length}`);
    }
    for (const entry of body.value.entries) this.#add(entry);
  }

  #add(wire: Entry): void {
    const entry = { type: wire.type, name: wire.name, hash: wire.hash.toString('hex'), label: labelOf(wire) };
    const last = this.entries.at(-1);
    if (last && !comesAfter(entry, last)) {
      const same = last.type === entry.type && last.name === entry.name;
      this.#fail(entry.label, same ? 'duplicate' : 'unsorted', same ? 'is listed twice' : `stands after ${last.label}: entries must be sorted`);
    }
    this.entries.push(entry);
    this.reached.add(entry.hash);
    if (!this.#candidate.resources.has(entry.hash)) this.#fail(entry.label, 'missing-resource', 'is named by the manifest and was not sent');
  }

  #fail(resource: string, code: string, message: string): void {
    this.#errors.add({ resource, kind: '', pointer: '', code, message, policies: [] });
  }
}

/** Strictly after in (type, name, hash); only settings may share type and name. */
function comesAfter(entry: ManifestEntry, last: ManifestEntry): boolean {
  if (entry.type !== last.type) return entry.type > last.type;
  if (entry.name !== last.name) return entry.name > last.name;
  return entry.type === EntryType.ENTRY_TYPE_SETTINGS && entry.hash > last.hash;
}

const labelPrefix: ReadonlyMap<EntryType, string> = new Map([
  [EntryType.ENTRY_TYPE_INBOUND, 'inbound port '],
  [EntryType.ENTRY_TYPE_LISTENER, 'listener '],
  [EntryType.ENTRY_TYPE_DESTINATION, 'destination '],
]);

function labelOf(entry: Entry): string {
  if (entry.type === EntryType.ENTRY_TYPE_SETTINGS) return `settings ${entry.hash.toString('hex', 0, 6)}`;
  return `${labelPrefix.get(entry.type) ?? ''}${entry.name.slice(0, 1_024)}`;
}

function reportUnreached(candidate: DecodeInput, reached: ReadonlySet<string>, errors: SnapshotErrors): void {
  for (const hash of candidate.resources.keys()) {
    if (reached.has(hash)) continue;
    errors.add({ resource: `resource ${hash.slice(0, 12)}`, kind: '', pointer: '', code: 'unreachable-resource', message: 'was sent and is not named by the manifest', policies: [] });
  }
}

function decodeManifest(bytes: Uint8Array): Manifest | null {
  try {
    return Manifest.decode(bytes);
  } catch {
    return null;
  }
}

/** null: the bytes are no Resource. */
export function decodeResource(bytes: Uint8Array): Resource | null {
  try {
    return Resource.decode(bytes);
  } catch {
    return null;
  }
}
