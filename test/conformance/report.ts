import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { SuiteResult } from './suite.ts';

/** Writes results in the form of vitest's JSON report, which `npm test` adds up. */
export function writeReport(file: string, results: readonly SuiteResult[], notRun: readonly string[]): void {
  const assertion = (fullName: string, status: 'passed' | 'failed' | 'skipped', why = ''): object => ({ fullName, status, failureMessages: why === '' ? [] : [why] });
  const testResults = results.map(({ title, passed, failed }) => ({
    name: title, status: failed.length > 0 ? 'failed' : 'passed',
    assertionResults: [
      ...Array.from({ length: passed }, () => assertion(title, 'passed')),
      ...failed.map(({ name, why }) => assertion(`${title}: ${name}`, 'failed', why)),
    ],
  }));
  const missing = { name: 'not run', status: 'passed', assertionResults: notRun.map((line) => assertion(line, 'skipped')) };
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify({ testResults: [...testResults, missing] }));
}
