import type { JsonObject } from '@remora/core/canonical-json';
import { contentHash } from '@remora/core/hash';
import type { SubjectKey } from '@remora/core/subject';
import { compareVersions, type Version } from '@remora/core/version';
import type { RecordStore, RecordWriter, WrittenRecords } from './record-writer.ts';

const namespace = 'accepted';

export interface Accepted {
  readonly hash: string;
  readonly version: Version;
}

interface Known {
  readonly buildId: string;
  readonly subject: SubjectKey;
  /** Key of the record that it is in. */
  readonly group: string;
  /** Newest first. */
  manifests: readonly Accepted[];
}

const perPair = 3;
/** Subjects are written together, so that an edit of the whole fleet changes a few dozen records. */
const groups = 64;

/**
 * The newest manifests of each subject that each build has ACKed: what a new instance of that build gets when its build
 * refuses the newest. Survives restarts; bounded, the pairs that were confirmed longest ago go first.
 */
export class AcceptedManifests {
  readonly #written: WrittenRecords;
  readonly #max: number;
  readonly #builds = new Map<string, Map<SubjectKey, Known>>();
  /** In the order in which they were confirmed. */
  readonly #order = new Set<Known>();
  readonly #members = new Map<string, Set<Known>>();

  constructor(deps: { readonly store: RecordStore; readonly writer: RecordWriter; readonly max: number }) {
    this.#max = deps.max;
    this.#written = deps.writer.records(namespace, (key) => this.#read(key));
    for (const [key, record] of deps.store.records(namespace)) this.#load(key, record);
  }

  /** Newest first, at most three. */
  newest(subject: SubjectKey, buildId: string): readonly Accepted[] {
    return this.#builds.get(buildId)?.get(subject)?.manifests ?? [];
  }

  confirm(subject: SubjectKey, buildId: string, accepted: Accepted): void {
    const known = this.#builds.get(buildId)?.get(subject);
    const newest = known?.manifests[0];
    if (known && newest) {
      if (newest.hash === accepted.hash || compareVersions(newest.version, accepted.version) >= 0) return;
      known.manifests = [accepted, ...known.manifests.filter(({ hash }) => hash !== accepted.hash)].slice(0, perPair);
      this.#order.delete(known);
      this.#order.add(known);
      this.#written.put(known.group);
    } else {
      this.#written.put(this.#add(subject, buildId, [accepted]).group);
    }
    for (const oldest of this.#order) {
      if (this.#order.size <= this.#max) return;
      this.#forget(oldest);
      this.#written.put(oldest.group);
    }
  }

  #add(subject: SubjectKey, buildId: string, manifests: readonly Accepted[]): Known {
    const known: Known = { buildId, subject, group: groupOf(subject, buildId), manifests };
    const subjects = this.#builds.get(buildId) ?? new Map<SubjectKey, Known>();
    this.#builds.set(buildId, subjects.set(subject, known));
    this.#order.add(known);
    const members = this.#members.get(known.group) ?? new Set();
    this.#members.set(known.group, members.add(known));
    return known;
  }

  #forget(known: Known): void {
    const subjects = this.#builds.get(known.buildId);
    subjects?.delete(known.subject);
    if (subjects?.size === 0) this.#builds.delete(known.buildId);
    this.#order.delete(known);
    const members = this.#members.get(known.group);
    members?.delete(known);
    if (members?.size === 0) this.#members.delete(known.group);
  }

  #read(group: string): JsonObject | null {
    const members = this.#members.get(group);
    if (!members) return null;
    return { buildId: group.slice(0, group.lastIndexOf(' ')), subjects: [...members].map(({ subject, manifests }) => ({ subject, manifests: manifests.map(({ hash, version }) => ({ hash, version: { ...version } })) })) };
  }

  /** Records are written by this class; one of another shape is left out: it is learnt again. */
  #load(group: string, { buildId, subjects }: JsonObject): void {
    if (typeof buildId !== 'string' || !Array.isArray(subjects)) return;
    for (const one of subjects) {
      const { subject, manifests } = (one ?? {}) as { readonly subject?: unknown; readonly manifests?: unknown };
      if (typeof subject !== 'string' || !Array.isArray(manifests)) continue;
      const accepted = (manifests as unknown[]).filter(isAccepted).slice(0, perPair);
      if (accepted.length > 0 && this.#order.size < this.#max) this.#add(subject as SubjectKey, buildId, accepted);
    }
    if (this.#members.get(group) === undefined) this.#written.put(group);
  }
}

/** Groups of an unfortunate distribution are larger, and nothing else. */
function groupOf(subject: SubjectKey, buildId: string): string {
  return `${buildId} ${Number.parseInt(contentHash(subject).slice(0, 4), 16) % groups}`;
}

function isAccepted(record: unknown): record is Accepted {
  const { hash, version } = (record ?? {}) as Partial<Accepted>;
  return typeof hash === 'string' && typeof version?.epoch === 'number' && typeof version.index === 'number';
}
