import type { SubjectKey } from '@remora/core/subject';
import { compareVersions, type Version } from '@remora/core/version';
import type { RecordStore, RecordWriter } from './record-writer.ts';

const namespace = 'accepted';

interface Accepted {
  readonly hash: string;
  readonly version: Version;
}

/**
 * The newest manifest of each subject that each build has ACKed: what a new instance of that build gets when its build
 * refuses the newest. Survives restarts; bounded, the pairs that were confirmed longest ago go first.
 */
export class AcceptedManifests {
  readonly #writer: RecordWriter;
  readonly #max: number;
  readonly #accepted = new Map<string, Accepted>();

  constructor(deps: { readonly store: RecordStore; readonly writer: RecordWriter; readonly max: number }) {
    this.#writer = deps.writer;
    this.#max = deps.max;
    for (const [key, record] of deps.store.records(namespace)) {
      const { hash, epoch, index } = record;
      if (typeof hash === 'string' && typeof epoch === 'number' && typeof index === 'number') this.#accepted.set(key, { hash, version: { epoch, index } });
    }
  }

  get(subject: SubjectKey, buildId: string): Accepted | null {
    return this.#accepted.get(`${subject} ${buildId}`) ?? null;
  }

  confirm(subject: SubjectKey, buildId: string, accepted: Accepted): void {
    const key = `${subject} ${buildId}`;
    const known = this.#accepted.get(key);
    if (known && compareVersions(known.version, accepted.version) >= 0) return;
    this.#accepted.delete(key);
    this.#accepted.set(key, accepted);
    this.#writer.put(namespace, key, () => ({ hash: accepted.hash, epoch: accepted.version.epoch, index: accepted.version.index }));
    for (const oldest of this.#accepted.keys()) {
      if (this.#accepted.size <= this.#max) return;
      this.#accepted.delete(oldest);
      this.#writer.put(namespace, oldest, () => null);
    }
  }
}
