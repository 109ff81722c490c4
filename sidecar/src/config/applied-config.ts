import type { Version } from '@remora/core/version';
import type { Candidate } from '@remora/snapshot/candidate';
import type { SnapshotSummary } from '@remora/snapshot/guards';
import type { Snapshot } from '@remora/snapshot/snapshot';

/** The configuration in force, as the control thread knows it. */
export interface AppliedConfig {
  readonly candidate: Candidate;
  readonly snapshot: Snapshot;
  readonly summary: SnapshotSummary;
  /** The newest version under which this content was confirmed: that of the candidate, or of a later `Unchanged`. */
  readonly version: Version;
  /** Names of what is not warm yet. */
  readonly warming: readonly string[];
  /** Unix ms of the swap. */
  readonly sinceMs: number;
  readonly origin: 'disk' | 'control-plane';
}
