import type { Candidate } from '@remora/snapshot/candidate';
import type { Version } from '@remora/core/version';

/**
 * Where a sidecar keeps what it enforces, so that it starts without a control plane. Two generations of snapshots: what
 * was last enforced, and what was enforced before. A candidate becomes the newest only by `markGood`. Callers await each write before the next.
 */
export interface SnapshotDisk {
  /** Usable snapshots, newest first, and what is wrong with the others. Never rejects. */
  load(): Promise<LoadedSnapshots>;
  /** Durable when it resolves; not yet what `load` answers. */
  writeCandidate(candidate: Candidate): Promise<void>;
  /** The candidate written last becomes the newest generation, the newest the older one. Durable when it resolves. */
  markGood(hash: string): Promise<void>;
  /** null: none, or damaged (then `problem` is set). */
  loadEndpoints(): Promise<{ readonly endpoints: StoredEndpoints | null; readonly problem: DiskProblem | null }>;
  writeEndpoints(endpoints: StoredEndpoints): Promise<void>;
  loadNotes(): Promise<{ readonly notes: StoredNotes | null; readonly problem: DiskProblem | null }>;
  writeNotes(notes: StoredNotes): Promise<void>;
  /** Gives back what it holds open; nothing is written after it. */
  close(): Promise<void>;
}

export interface LoadedSnapshots {
  readonly candidates: readonly Candidate[];
  readonly problems: readonly DiskProblem[];
  /** Unix ms at which the newest usable snapshot was written: there was contact then. Absent where there is none. */
  readonly newestWrittenMs?: number;
}

export interface DiskProblem {
  readonly file: string;
  /** Kebab case: `cut`, `checksum`, `newer-version`, `not-a-snapshot`, `unreadable`, `wrong-subject`. */
  readonly code: string;
  readonly message: string;
}

/** The state lane as last applied. */
export interface StoredEndpoints {
  readonly version: Version;
  /** As the control plane named it, hex. */
  readonly hash: string;
  /** Encoded remora.snapshot.v1.EndpointSet by service. */
  readonly sets: ReadonlyMap<string, Uint8Array>;
  /** Bodies of items by `kind/name`. */
  readonly items: ReadonlyMap<string, Uint8Array>;
}

/** Small facts that must survive a restart. */
export interface StoredNotes {
  /** Of the last start: the next one is higher, whatever the clock says. */
  readonly incarnation: number;
  /** Unix ms of the last moment known to be in contact with a control plane. */
  readonly lastContactMs: number;
  /** The newest version under which the content `hash` was confirmed. */
  readonly label: { readonly hash: string; readonly version: Version } | null;
  /** Manifest hashes this build refused as invalid; oldest first. */
  readonly refused: readonly { readonly hash: string; readonly build: string }[];
}
