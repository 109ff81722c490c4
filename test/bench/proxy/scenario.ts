import type { ChildProcess } from 'node:child_process';

/** Where a scenario runs: what is measured on one core, load and backend on the other. */
export interface Stage {
  readonly folder: string;
  readonly loadCore: number;
  readonly proxyCore: number;
  /** Runs the bundles of `dist/`. */
  readonly bundled: boolean;
  /** Processes to end with the stage. */
  own(child: ChildProcess): void;
}

/** One proxy in front of the backend. */
export interface Contestant {
  readonly name: string;
  readonly port: number;
  readonly process: ChildProcess;
  /** Further processes that a request passes: what they take is counted too. */
  readonly others?: readonly ChildProcess[];
}

/** What one round of load came to. */
export interface Load {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
  /** Body bytes moved, where the scenario is about bytes. */
  readonly bytes?: number;
}

/** The ratio to a peer that the project promises. */
export interface Bar {
  readonly peer: string;
  readonly max: number;
  /** What would be better still; listed. */
  readonly stretch?: number;
}

export interface Scenario {
  readonly name: string;
  readonly what: string;
  /**
   * What is compared. `cpu`: CPU microseconds per request, the bar is an upper bound of the ratio; `bytesPerCpu`: mebibytes per second of CPU, the bar is a
   * lower bound.
   */
  readonly compares: 'cpu' | 'bytesPerCpu';
  readonly bars: readonly Bar[];
  /** Compares p50 too: ours must be below that of the peer. */
  readonly p50Below?: string;
  /** Starts backend and contestants; ours is named `remora`. Peers that are not installed are left out. */
  start(stage: Stage): Promise<readonly Contestant[]>;
  load(contestant: Contestant, seconds: number, core: number): Promise<Load>;
  /** Before the first round; `load` itself for two seconds where there is none. */
  warmUp?(contestant: Contestant, core: number): Promise<Load>;
}
