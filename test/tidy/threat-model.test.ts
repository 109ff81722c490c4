import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { missingTests, provedLines } from './named-tests.ts';
import { repositoryRoot } from './source-files.ts';

/** Each line of the threat model points to a test that is there. */
describe('the threat model', () => {
  const lines = provedLines(readFileSync(path.join(repositoryRoot, 'docs/threat-model.md'), 'utf8'), 'attack');

  test('has lines for each boundary', () => expect(lines.length).toBeGreaterThan(30));

  test.each(lines.map((line) => [line.says, line] as const))('%s', (_attack, line) => {
    expect(missingTests(line)).toEqual([]);
  });
});
