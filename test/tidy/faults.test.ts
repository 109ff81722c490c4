import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { missingTests, provedLines } from './named-tests.ts';
import { repositoryRoot } from './source-files.ts';

describe('the page of faults', () => {
  const lines = provedLines(readFileSync(path.join(repositoryRoot, 'docs/faults.md'), 'utf8'), 'what goes wrong');

  test('has lines for each subject', () => expect(lines.length).toBeGreaterThan(40));

  test.each(lines.map((line) => [line.says, line] as const))('%s', (_says, line) => {
    expect(missingTests(line)).toEqual([]);
  });
});

/** What may look at the wall clock on the caller's side, and why. */
const mayKnowTheTime: ReadonlyMap<string, string> = new Map([
  ['libs/policies/retry/backoff.ts', 'Retry-After may be a date'],
  ['libs/policies/retry/retry-call.ts', 'Retry-After may be a date'],
  ['libs/policies/fallback/answer-maker.ts', 'answers have a date'],
  ['sidecar/src/health/health-record.ts', 'people are told times; what ends, ends by the monotonic clock'],
]);

test('what happens in windows knows no wall clock', () => {
  const kinds = 'timeout,fallback,mirror,retry,hedging,circuit-breaker,load-balancing,health-check,outlier-detection,connection-pool,concurrency,rate-limit';
  const files = [`libs/policies/{${kinds}}/*.ts`, 'sidecar/src/upstream/*.ts', 'sidecar/src/health/*.ts'].flatMap((pattern) => globSync(pattern, { cwd: repositoryRoot }));
  expect(files.length).toBeGreaterThan(100);
  const found = files.filter((file) => !/\.(?:test|bench)\.ts$/.test(file) && !mayKnowTheTime.has(file))
    .filter((file) => /\bwallMs\(|\bDate\.now\(|\bnew Date\(\)/.test(readFileSync(path.join(repositoryRoot, file), 'utf8')));
  expect(found).toEqual([]);
});
