import type { SubjectKey } from '@remora/core/subject';
import { compareVersions, noVersion, type Version } from '@remora/core/version';
import type { CompiledSubject } from '../compile/compilation.ts';
import type { Grant, LogEntry } from '../store/store.ts';
import { loadBase, loadContent, type BaseContent, type Content } from './content.ts';
import type { PublishedUpdate } from './push-hub.ts';

/** What a subject's sidecars should enforce, and since which place in the log. */
export interface Desired {
  readonly version: Version;
  readonly content: CompiledSubject;
  readonly sinceMonotonicMs: number;
}

/** What the hub needs of the store to know older content and older grants. */
export interface ContentHistory {
  blob(hash: string): Uint8Array | null;
  references(manifest: string): readonly string[] | null;
  entries(page: { readonly limit: number; readonly changesMax: number }): readonly LogEntry[];
  manifestAt(index: number, subject: string): string | null;
}

interface KnownGrant {
  readonly version: Version;
  readonly guard: string;
  /** Null: asked of the history, because the hub was not running then. */
  readonly subjects: ReadonlySet<string> | null;
}

/** What is desired and what was before: older content is read from the store where a sidecar still has it. */
const recentPerSubject = 2;
const grantsMax = 1_000;

/** The newest compilation, the last few contents of each subject (bases of deltas), and the grants of the log. */
export class DesiredContent {
  readonly #history: ContentHistory;
  readonly #desired = new Map<SubjectKey, Desired>();
  readonly #recent = new Map<SubjectKey, Content[]>();
  /** What was asked for last and is not recent: the sidecars of a subject that were away for long mostly have the same. */
  readonly #bases = new Map<SubjectKey, BaseContent>();
  #grants: KnownGrant[] = [];
  #version: Version = noVersion;
  #published = false;

  constructor(history: ContentHistory) {
    this.#history = history;
    for (const entry of history.entries({ limit: grantsMax, changesMax: 0 })) {
      for (const grant of entry.grants) {
        this.#grants.push({ version: entry.version, guard: grant.guard, subjects: grant.subjects.length > 0 ? new Set(grant.subjects) : null });
      }
    }
  }

  /** Before the first publish nothing may be pushed. */
  get published(): boolean {
    return this.#published;
  }

  get version(): Version {
    return this.#version;
  }

  get subjects(): IterableIterator<SubjectKey> {
    return this.#desired.keys();
  }

  of(subject: SubjectKey): Desired | null {
    return this.#desired.get(subject) ?? null;
  }

  /**
   * Takes over a compilation; answers the subjects whose sidecars have something to do: their desired content changed, they
   * went, or a grant lifts a guard for them. A grant that names nobody in an entry that changes nothing is for `guarded`.
   */
  take(update: PublishedUpdate, nowMs: number, guarded: ReadonlySet<SubjectKey>): Set<SubjectKey> {
    const changed = new Set<SubjectKey>();
    this.#version = update.version;
    this.#published = true;
    for (const [key, content] of update.compilation.subjects) {
      const before = this.#desired.get(key);
      if (before?.content.hash === content.hash) continue;
      this.#desired.set(key, { version: update.version, content, sinceMonotonicMs: nowMs });
      this.#remember(key, content);
      changed.add(key);
    }
    for (const key of this.#desired.keys()) {
      if (update.compilation.subjects.has(key)) continue;
      this.#desired.delete(key);
      this.#bases.delete(key);
      changed.add(key);
    }
    this.#takeGrants(update, changed.size > 0 ? new Set(changed) : guarded, changed);
    return changed;
  }

  /** Guards lifted for a subject by grants in the log after `applied`, up to and with `version`. Sorted. */
  grantedGuards(subject: SubjectKey, applied: Version, version: Version): readonly string[] {
    if (this.#grants.length === 0) return none;
    const guards = new Set<string>();
    for (const grant of this.#grants) {
      if (compareVersions(grant.version, applied) <= 0 || compareVersions(grant.version, version) > 0) continue;
      if (grant.subjects ? grant.subjects.has(subject) : this.#touched(grant.version.index, subject)) guards.add(grant.guard);
    }
    return guards.size === 0 ? none : [...guards].sort();
  }

  /** Content by its hash: what is desired, what was desired a moment ago, or from the store. */
  known(subject: SubjectKey, hash: string): Content | null {
    if (hash === '') return null;
    const recent = this.#recent.get(subject)?.find((content) => content.hash === hash);
    if (recent) return recent;
    const loaded = loadContent(hash, (address) => this.#history.blob(address));
    if (loaded) this.#remember(subject, loaded);
    return loaded;
  }

  /** What a sidecar has, by its hash: enough to send it what it lacks. */
  base(subject: SubjectKey, hash: string): BaseContent | null {
    if (hash === '') return null;
    const recent = this.#recent.get(subject)?.find((content) => content.hash === hash);
    if (recent) return recent;
    const before = this.#bases.get(subject);
    if (before?.hash === hash) return before;
    const loaded = loadBase(hash, this.#history) ?? this.known(subject, hash);
    if (loaded) this.#bases.set(subject, loaded);
    return loaded;
  }

  #remember(subject: SubjectKey, content: Content): void {
    const others = (this.#recent.get(subject) ?? []).filter((known) => known.hash !== content.hash);
    this.#recent.set(subject, [content, ...others].slice(0, recentPerSubject));
  }

  #takeGrants(update: PublishedUpdate, touched: ReadonlySet<SubjectKey>, changed: Set<SubjectKey>): void {
    // A start publishes the head of the log without its grants: those have been read from the log.
    if (update.grants.length === 0) return;
    const added = update.grants.map((grant: Grant): KnownGrant => ({
      version: update.version,
      guard: grant.guard,
      subjects: new Set(grant.subjects.length > 0 ? grant.subjects : touched),
    }));
    const others = this.#grants.filter((grant) => compareVersions(grant.version, update.version) !== 0);
    this.#grants = [...added, ...others].slice(0, grantsMax);
    for (const [key, desired] of this.#desired) {
      if (!added.some((grant) => grant.subjects?.has(key))) continue;
      // The grant is valid from this entry on, so its version is what has to be reached, even with equal content.
      this.#desired.set(key, { ...desired, version: update.version });
      changed.add(key);
    }
  }

  #touched(index: number, subject: SubjectKey): boolean {
    return this.#history.manifestAt(index, subject) !== this.#history.manifestAt(index - 1, subject);
  }
}

const none: readonly string[] = [];
