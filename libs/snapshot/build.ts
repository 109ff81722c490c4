import { contentHash } from '@remora/core/hash';

/** What a sidecar can enforce: refusals are remembered per build, and a new build is asked again. */
export interface BuildIdentity {
  /** Of the program, e.g. `0.1.0`. */
  readonly version: string;
  /** Highest format of snapshots it reads. */
  readonly format: number;
  /** Policy kinds with the highest format of each, sorted by name. */
  readonly kinds: ReadonlyMap<string, number>;
  /** SHA-256 (hex) over version, format and kinds. */
  readonly id: string;
}

/**
 * Highest format of Manifest and Resource that this code reads. What it writes says the lowest one that knows every field it uses (field-formats.ts): a build
 * that would pass over one refuses the snapshot instead, and content that uses none keeps its hash.
 */
export const snapshotFormat = 2;

export function buildIdentity(version: string, kinds: Iterable<{ readonly name: string; readonly format: number }>): BuildIdentity {
  const sorted = [...kinds].map(({ name, format }): [string, number] => [name, format]).sort(([a], [b]) => (a < b ? -1 : 1));
  const id = contentHash(JSON.stringify([version, snapshotFormat, sorted]));
  return Object.freeze({ version, format: snapshotFormat, kinds: new Map(sorted), id });
}
