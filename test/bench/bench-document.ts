/** What `npm run -s bench -- NAME --json` prints. */
export interface BenchDocument {
  readonly bench: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly memoryGiB: number; readonly node: string; readonly kernel: string };
  readonly rows: readonly BenchRow[];
  /** The same figures side by side, where that is easier to read. */
  readonly tables?: readonly BenchTable[];
}

export interface BenchTable {
  readonly head: readonly string[];
  readonly cells: readonly (readonly string[])[];
}

export interface BenchRow {
  readonly what: string;
  /** NaN: what would have been measured did not happen. */
  readonly value: number;
  readonly unit: string;
  /** As the issue states it, e.g. `p99 ≤ 250 ms`; '' where the figure is only listed. */
  readonly bar: string;
  /** null where there is no bar. */
  readonly ok: boolean | null;
  /** Figures of other programs in the same run, by name; `missing` says how to get a program that is not installed. */
  readonly peers?: Readonly<Record<string, number | string>>;
  readonly note?: string;
}

export interface BenchOptions {
  /** Shorter, for a first look; bars are judged all the same. */
  readonly quick: boolean;
  /** Further flags of the benchmark, e.g. `--sidecars 1000`. */
  readonly flags: Readonly<Record<string, string>>;
}

export type Bench = (options: BenchOptions) => Promise<BenchDocument>;
