import type { Candidate } from '@remora/snapshot/candidate';
import type { LoadedSnapshots, SnapshotDisk, StoredEndpoints, StoredNotes } from '@remora/sidecar/config/snapshot-disk';
import type { VirtualWorld } from './virtual-world.ts';

/**
 * The disk of one sidecar: it outlives the process, is slow, and fails. A write that was under way at a crash either
 * happened or did not.
 */
export class SimDisk {
  readonly #world: VirtualWorld;
  #generations: readonly Candidate[] = [];
  #candidate: Candidate | null = null;
  #endpoints: StoredEndpoints | null = null;
  #notes: StoredNotes | null = null;
  failRate = 0;
  slowMs = 3;

  constructor(world: VirtualWorld) {
    this.#world = world;
  }

  /** What a start would find of the state lane's items, by `kind/name`. */
  get items(): ReadonlyMap<string, Uint8Array> {
    return this.#endpoints?.items ?? new Map();
  }

  /** The disk as one run of the process sees it: after `crashed` nothing of that run is written. */
  mount(isAlive: () => boolean): SnapshotDisk {
    const write = (apply: () => void): Promise<void> => new Promise((resolve, reject) => {
      this.#world.after(this.#world.upTo(this.slowMs), () => {
        if (!isAlive()) return;
        if (this.#world.chance(this.failRate)) {
          reject(new Error('no space left on device'));
          return;
        }
        apply();
        resolve();
      });
    });
    return {
      load: (): Promise<LoadedSnapshots> => Promise.resolve({ candidates: this.#generations, problems: [] }),
      writeCandidate: (candidate) => write(() => { this.#candidate = candidate; }),
      markGood: (hash) => write(() => {
        const candidate = this.#candidate;
        if (candidate?.hash !== hash) return;
        this.#generations = [candidate, ...this.#generations.filter((each) => each.hash !== hash)].slice(0, 2);
      }),
      loadEndpoints: () => Promise.resolve({ endpoints: this.#endpoints, problem: null }),
      writeEndpoints: (endpoints) => write(() => { this.#endpoints = endpoints; }),
      loadNotes: () => Promise.resolve({ notes: this.#notes, problem: null }),
      writeNotes: (notes) => write(() => { this.#notes = notes; }),
      close: () => Promise.resolve(),
    };
  }
}
