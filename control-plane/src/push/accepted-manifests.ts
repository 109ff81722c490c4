import type { SubjectKey } from '@remora/core/subject';
import { compareVersions, type Version } from '@remora/core/version';
import type { RecordStore, RecordWriter } from './record-writer.ts';

const namespace = 'accepted';

interface Accepted {
  readonly hash: string;
  readonly version: Version;
}

const perPair = 3;

/**
 * The newest manifests of each subject that each build has ACKed: what a new instance of that build gets when its build
 * refuses the newest. Survives restarts; bounded, the pairs that were confirmed longest ago go first.
 */
export class AcceptedManifests {
  readonly #writer: RecordWriter;
  readonly #max: number;
  readonly #accepted = new Map<string, readonly Accepted[]>();

  constructor(deps: { readonly store: RecordStore; readonly writer: RecordWriter; readonly max: number }) {
    this.#writer = deps.writer;
    this.#max = deps.max;
    for (const [key, { manifests }] of deps.store.records(namespace)) {
      if (Array.isArray(manifests)) this.#accepted.set(key, (manifests as unknown[]).filter(isAccepted));
    }
  }

  /** Newest first, at most three. */
  newest(subject: SubjectKey, buildId: string): readonly Accepted[] {
    return this.#accepted.get(`${subject} ${buildId}`) ?? [];
  }

  confirm(subject: SubjectKey, buildId: string, accepted: Accepted): void {
    const key = `${subject} ${buildId}`;
    const known = this.#accepted.get(key) ?? [];
    const [newest] = known;
    if (newest && (newest.hash === accepted.hash || compareVersions(newest.version, accepted.version) >= 0)) return;
    const manifests = [accepted, ...known.filter(({ hash }) => hash !== accepted.hash)].slice(0, perPair);
    this.#accepted.delete(key);
    this.#accepted.set(key, manifests);
    this.#writer.put(namespace, key, () => ({ manifests: manifests.map(({ hash, version }) => ({ hash, version: { ...version } })) }));
    for (const oldest of this.#accepted.keys()) {
      if (this.#accepted.size <= this.#max) return;
      this.#accepted.delete(oldest);
      this.#writer.put(namespace, oldest, () => null);
    }
  }
}

function isAccepted(record: unknown): record is Accepted {
  const { hash, version } = (record ?? {}) as Partial<Accepted>;
  return typeof hash === 'string' && typeof version?.epoch === 'number' && typeof version.index === 'number';
}
