import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** What a run of tests came to. */
export interface Tally {
  readonly passed: number;
  /** Full names of failed tests, with the first line of why. */
  readonly failed: readonly string[];
  /** Full names of tests that were not run. */
  readonly notRun: readonly string[];
}

export const emptyTally: Tally = { passed: 0, failed: [], notRun: [] };

interface JsonReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string; readonly failureMessages?: readonly string[] }[];
  }[];
}

/** Reads vitest's JSON report. A report that is missing is a failure, never nothing. */
export function readReport(file: string): Tally {
  if (!existsSync(file)) return { ...emptyTally, failed: [`${path.basename(file)}: no report was written`] };
  const report = JSON.parse(readFileSync(file, 'utf8')) as JsonReport;
  const failed: string[] = [];
  const notRun: string[] = [];
  let passed = 0;
  for (const suite of report.testResults) {
    if (suite.status === 'failed' && suite.assertionResults.length === 0) failed.push(`${suite.name}: ${firstLine(suite.message)}`);
    for (const test of suite.assertionResults) {
      if (test.status === 'passed') passed += 1;
      else if (test.status === 'failed') failed.push(`${test.fullName.trim()}: ${firstLine(test.failureMessages?.[0])}`);
      else notRun.push(test.fullName.trim());
    }
  }
  return { passed, failed, notRun };
}

export function addUp(tallies: readonly Tally[]): Tally {
  return {
    passed: tallies.reduce((sum, tally) => sum + tally.passed, 0),
    failed: tallies.flatMap((tally) => tally.failed),
    notRun: tallies.flatMap((tally) => tally.notRun),
  };
}

function firstLine(text: string | undefined): string {
  return (text ?? '').split('\n', 1)[0] ?? '';
}
