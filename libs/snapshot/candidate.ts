import type { Subject } from '@remora/core/subject';
import type { Version } from '@remora/core/version';

/**
 * A configuration as bytes: what travels, is kept on disk and is handed to the data threads. `decode.ts` turns it into a
 * Snapshot; both the sidecar and the control plane (before it commits) use that code.
 */
export interface Candidate {
  readonly subject: Subject;
  readonly version: Version;
  /** SHA-256 (hex) of `manifest`. */
  readonly hash: string;
  /** Encoded remora.snapshot.v1.Manifest. */
  readonly manifest: Uint8Array;
  /** Encoded remora.snapshot.v1.Resource by hash (hex), pages included. Exactly what the manifest reaches. */
  readonly resources: ReadonlyMap<string, Uint8Array>;
}

/** The resources of a candidate where they are kept otherwise: bytes are asked for once, and not of what is decoded already. */
export interface ResourceSource {
  readonly size: number;
  has(hash: string): boolean;
  get(hash: string): Uint8Array | undefined;
  keys(): Iterable<string>;
}

/** What is decoded. */
export type DecodeInput = Omit<Candidate, 'resources'> & { readonly resources: ResourceSource };
