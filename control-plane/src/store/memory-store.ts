import { writeFile } from 'node:fs/promises';
import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock } from '@remora/core/clock';
import { compareVersions } from '@remora/core/version';
import type { Steps } from '@remora/core/steps';
import type { Version } from '@remora/core/version';
import { MemoryAudit } from '../audit/memory-audit.ts';
import { oldestKept } from './compaction.ts';
import { applyChanges, asEntry, checkPlace, idempotencyAgeMs, idempotencyKeysMax } from './log-rules.ts';
import { StoreError } from './store-error.ts';
import type { AppendInput, AppendResult, CompiledRecord, DocumentKey, EntryPage, LogEntry, Store, StoredDocument } from './store.ts';

interface KeyUse {
  readonly index: number;
  readonly fingerprint: string;
  readonly atMs: number;
}

/** The log without a disk: for `remora run`, tests and the simulator. Ends with the process; otherwise the same contract. */
export function createMemoryStore(options: { readonly clock: Clock; readonly epoch?: number }): Store {
  return new MemoryStore(options);
}

class MemoryStore implements Store {
  readonly #clock: Clock;
  #head: Version;
  #documents: ReadonlyMap<DocumentKey, StoredDocument> = new Map();
  /** Documents as of the entry before the oldest kept. */
  #base: ReadonlyMap<DocumentKey, StoredDocument> = new Map();
  /** Kept entries, oldest first, without gaps. */
  #entries: LogEntry[] = [];
  #retainedFrom = 1;
  readonly #keys = new Map<string, KeyUse>();
  readonly #blobs = new Map<string, Uint8Array>();
  readonly #references = new Map<string, readonly string[]>();
  readonly #manifests = new Map<string, { readonly index: number; readonly hash: string }[]>();
  readonly #records = new Map<string, Map<string, JsonObject>>();
  readonly audit: MemoryAudit;
  #fence = 0;
  #closed = false;

  constructor(options: { readonly clock: Clock; readonly epoch?: number }) {
    this.#clock = options.clock;
    this.audit = new MemoryAudit(options.clock);
    this.#head = { epoch: options.epoch ?? Math.max(1, Math.floor(options.clock.wallMs() / 1_000)), index: 0 };
  }

  head(): Version {
    return this.#head;
  }

  async append(input: AppendInput): Promise<AppendResult> {
    this.#mustBeOpen();
    const { idempotencyKey: key, idempotencyFingerprint: fingerprint = '' } = input;
    const before = key === undefined ? null : this.repeated(key);
    if (before) return { kind: before.fingerprint === fingerprint ? 'repeated' : 'key-reused', entry: before.entry };
    if (compareVersions(input.expectedHead, this.#head) !== 0) return { kind: 'head-moved', head: this.#head };
    const atMs = this.#clock.wallMs();
    const entry = asEntry(input, { epoch: this.#head.epoch, index: this.#head.index + 1 }, atMs);
    const notes = input.audit ? [input.audit(entry)] : [];
    this.#documents = applyChanges(this.#documents, entry);
    this.#entries.push(entry);
    this.#head = entry.version;
    if (input.compiled) this.#putCompiled(entry.version.index, input.compiled);
    if (key !== undefined) this.#keys.set(key, { index: entry.version.index, fingerprint, atMs });
    this.audit.append(notes);
    return { kind: 'appended', entry };
  }

  repeated(idempotencyKey: string): { entry: LogEntry; fingerprint: string } | null {
    const use = this.#keys.get(idempotencyKey);
    if (!use || use.atMs < this.#clock.wallMs() - idempotencyAgeMs) return null;
    const entry = this.entry(use.index);
    return entry ? { entry, fingerprint: use.fingerprint } : null;
  }

  documents(at?: Version): ReadonlyMap<DocumentKey, StoredDocument> {
    if (at === undefined || compareVersions(at, this.#head) === 0) return this.#documents;
    checkPlace(at, { head: this.#head, retainedFrom: this.#retainedFrom, epochOf: (index) => this.entry(index)?.version.epoch ?? null });
    return new Map([...this.#replay(at.index)].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  *documentsInSteps(at: Version): Steps<ReadonlyMap<DocumentKey, StoredDocument>> {
    yield;
    return this.documents(at);
  }

  entry(index: number): LogEntry | null {
    this.#mustBeOpen();
    return this.#entries[index - this.#retainedFrom] ?? null;
  }

  entries(page: EntryPage): readonly LogEntry[] {
    const { before = Number.POSITIVE_INFINITY, since = -1, sinceMs = 0 } = page;
    const found: LogEntry[] = [];
    for (let at = this.#entries.length - 1; at >= 0 && found.length < page.limit; at--) {
      const entry = this.#entries[at];
      if (!entry || entry.version.index >= before || entry.version.index <= since || Date.parse(entry.at) < sinceMs) continue;
      if (page.key === undefined || entry.changes.some((change) => change.key === page.key)) found.push(withFewer(entry, page.changesMax));
    }
    return found;
  }

  lastChange(key: DocumentKey, at = this.#head.index): LogEntry | null {
    return this.#entries.findLast((entry) => entry.version.index <= at && entry.changes.some((change) => change.key === key)) ?? null;
  }

  retainedFrom(): number {
    return this.#retainedFrom;
  }

  putBlobs(blobs: ReadonlyMap<string, Uint8Array>): void {
    for (const [hash, bytes] of blobs) this.#blobs.set(hash, bytes);
  }

  blob(hash: string): Uint8Array | null {
    return this.#blobs.get(hash) ?? null;
  }

  putManifests(index: number, manifests: ReadonlyMap<string, string>, references: ReadonlyMap<string, readonly string[]> = new Map()): void {
    this.#putCompiled(index, { manifests, references, blobs: new Map() });
  }

  manifestAt(index: number, subject: string): string | null {
    return this.#manifests.get(subject)?.findLast((manifest) => manifest.index <= index)?.hash || null;
  }

  references(manifest: string): readonly string[] | null {
    return this.#references.get(manifest) ?? null;
  }

  manifestHistory(subject: string, limit: number): readonly { readonly index: number; readonly hash: string }[] {
    return (this.#manifests.get(subject) ?? []).toReversed().slice(0, limit);
  }

  records(namespace: string): ReadonlyMap<string, JsonObject> {
    let records = this.#records.get(namespace);
    if (!records) this.#records.set(namespace, (records = new Map()));
    return records;
  }

  putRecords(namespace: string, records: ReadonlyMap<string, JsonObject | null>): void {
    this.#mustBeOpen();
    const target = this.records(namespace) as Map<string, JsonObject>;
    for (const [key, value] of records) {
      if (value === null) target.delete(key);
      else target.set(key, value);
    }
  }

  /** Nothing here is ever on a disk. */
  flushRecords(): void {
    this.#mustBeOpen();
  }

  nextFence(): number {
    return (this.#fence += 1);
  }

  async compact(keep: { readonly minAgeMs: number; readonly minEntries: number; readonly nowMs: number }): Promise<number> {
    this.#dropKeys(keep.nowMs - idempotencyAgeMs);
    const firstYoung = this.#entries.find((entry) => Date.parse(entry.at) >= keep.nowMs - keep.minAgeMs)?.version.index ?? Number.MAX_SAFE_INTEGER;
    const from = oldestKept(keep, this.#head.index, firstYoung);
    const count = from - this.#retainedFrom;
    if (count <= 0) return 0;
    this.#base = this.#replay(from - 1);
    this.#entries = this.#entries.slice(count);
    this.#retainedFrom = from;
    this.#dropManifests(from);
    return count;
  }

  /** The whole log as JSON: there is no database to copy. */
  async backup(path: string): Promise<void> {
    const content = JSON.stringify({ head: this.#head, entries: this.#entries, documents: [...this.#documents.values()] });
    try {
      await writeFile(path, content, { flag: 'wx' });
    } catch (error) {
      const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
      throw new StoreError(exists ? 'store-exists' : 'store-io', `${path}: ${exists ? 'there is a file of that name already' : (error as Error).message}`, { cause: error });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #replay(index: number): ReadonlyMap<DocumentKey, StoredDocument> {
    let documents = this.#base;
    for (const entry of this.#entries) {
      if (entry.version.index > index) break;
      documents = applyChanges(documents, entry);
    }
    return documents;
  }

  #putCompiled(index: number, compiled: CompiledRecord): void {
    for (const [hash, bytes] of compiled.blobs) this.#blobs.set(hash, bytes);
    for (const [hash, hashes] of compiled.references) this.#references.set(hash, hashes);
    for (const [subject, hash] of compiled.manifests) {
      const history = (this.#manifests.get(subject) ?? []).filter((manifest) => manifest.index !== index);
      this.#manifests.set(subject, [...history, { index, hash }].sort((a, b) => a.index - b.index));
    }
  }

  #dropKeys(olderThanMs: number): void {
    for (const [key, use] of this.#keys) {
      if (use.atMs < olderThanMs || this.#keys.size > idempotencyKeysMax) this.#keys.delete(key);
    }
  }

  #dropManifests(from: number): void {
    const reached = new Set<string>();
    for (const [subject, history] of this.#manifests) {
      const oldest = history.findLast((manifest) => manifest.index <= from);
      const kept = history.filter((manifest) => manifest.index > from || (manifest === oldest && manifest.hash !== ''));
      if (kept.length === 0) this.#manifests.delete(subject);
      else this.#manifests.set(subject, kept);
      for (const { hash } of kept) for (const one of [hash, ...(this.#references.get(hash) ?? [])]) reached.add(one);
    }
    for (const hash of this.#blobs.keys()) if (!reached.has(hash)) this.#blobs.delete(hash);
    for (const hash of this.#references.keys()) if (!reached.has(hash)) this.#references.delete(hash);
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new StoreError('store-closed', 'the store is closed');
  }
}

function withFewer(entry: LogEntry, changesMax = entry.changes.length): LogEntry {
  if (entry.changes.length <= changesMax) return entry;
  const changes = [...entry.changes].sort((a, b) => (a.key < b.key ? -1 : 1)).slice(0, changesMax);
  return { ...entry, changes, changeCount: entry.changes.length };
}
