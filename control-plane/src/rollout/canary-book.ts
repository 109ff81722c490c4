import type { DocumentKey, Store } from '../store/store.ts';
import { isLive, readRun, runRecord } from './canary-run.ts';
import type { CanaryRun } from './canary-run.ts';

const namespace = 'rollout.canaries';

/**
 * The runs of all Canaries, durable: whoever works on the store goes on where another one stopped. One for each Canary document, and for one that is
 * gone as long as its Routes are not as before; hence never more than there are documents.
 */
export class CanaryBook {
  readonly #store: Pick<Store, 'records' | 'putRecords' | 'flushRecords'>;
  #runs: Map<string, CanaryRun>;
  /** Made when it is asked for. */
  #owners: ReadonlyMap<DocumentKey, CanaryRun> | null = null;

  constructor(store: Pick<Store, 'records' | 'putRecords' | 'flushRecords'>) {
    this.#store = store;
    this.#runs = this.#read();
  }

  get(name: string): CanaryRun | null {
    return this.#runs.get(name) ?? null;
  }

  all(): readonly CanaryRun[] {
    return [...this.#runs.values()];
  }

  /** The run that nobody else may touch this document because of. */
  ownerOf(key: DocumentKey): CanaryRun | null {
    this.#owners ??= new Map([...this.#runs.values()].filter(isLive).flatMap((run) => run.routes.map((route): [DocumentKey, CanaryRun] => [route.key, run])));
    return this.#owners.get(key) ?? null;
  }

  /** Of those that are not over. */
  liveOn(service: string): CanaryRun | null {
    for (const run of this.#runs.values()) if (isLive(run) && run.document.service === service) return run;
    return null;
  }

  /** On the disk when it returns. Throws where the disk refuses; the run is as before then. */
  save(run: CanaryRun): void {
    this.#put(run.name, run);
  }

  /** On the disk within a second: what is lost with a crash is measured again. */
  note(run: CanaryRun): void {
    this.#set(run.name, run);
    this.#store.putRecords(namespace, new Map([[run.name, runRecord(run)]]));
  }

  drop(name: string): void {
    this.#put(name, null);
  }

  /** As the store has them: another process may have worked on them. */
  reload(): void {
    this.#runs = this.#read();
    this.#owners = null;
  }

  #put(name: string, run: CanaryRun | null): void {
    this.#store.putRecords(namespace, new Map([[name, run === null ? null : runRecord(run)]]));
    this.#store.flushRecords();
    this.#set(name, run);
  }

  #set(name: string, run: CanaryRun | null): void {
    if (run === null) this.#runs.delete(name);
    else this.#runs.set(name, run);
    this.#owners = null;
  }

  #read(): Map<string, CanaryRun> {
    const runs = new Map<string, CanaryRun>();
    for (const [name, record] of this.#store.records(namespace)) {
      const run = readRun(record);
      if (run !== null) runs.set(name, run);
    }
    return runs;
  }
}
