import type { ToolName } from './tools.ts';

/** An external suite, run against a real sidecar process. */
export interface Suite {
  /** As typed behind `npm run conformance --`. */
  readonly name: string;
  readonly needs: readonly ToolName[];
  /** Runs the settings whose titles are wanted, one after the other. */
  run(wanted: Wanted): AsyncIterable<SuiteResult>;
}

export type Wanted = (title: string) => boolean;

/** What one run of a suite in one setting came to. */
export interface SuiteResult {
  /** Suite and setting, such as `h2spec, server role, cleartext`. */
  readonly title: string;
  readonly passed: number;
  readonly failed: readonly CaseNote[];
  /** Cases that are not asked for, each with the rule that dropped it. */
  readonly excluded: readonly CaseNote[];
}

export interface CaseNote {
  readonly name: string;
  readonly why: string;
}
