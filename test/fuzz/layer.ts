import { createHash } from 'node:crypto';

/** One way to run cases: in this process, or through real processes. */
export interface FuzzLayer {
  readonly name: string;
  readonly cases: number;
  /** Answers what is missing on this machine. */
  begin(): Promise<readonly string[]>;
  /** A number of cases that follow from the seed. */
  round(seed: number): Promise<readonly FuzzFinding[]>;
  /** One case that was found before. */
  replay(entry: CorpusEntry): Promise<readonly FuzzFinding[]>;
  /** Ends everything that was begun. */
  end(): Promise<{ readonly findings: readonly FuzzFinding[]; readonly summary: string }>;
}

export interface FuzzFinding {
  readonly entry: CorpusEntry;
  readonly problem: string;
}

/** A case that can be repeated: a file in `corpus/`. */
export interface CorpusEntry {
  readonly layer: string;
  readonly name: string;
  readonly seed: number;
  /** Latin-1. */
  readonly bytes: string;
  readonly setting: object;
}

export function caseName(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 12);
}
