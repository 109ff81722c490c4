import path from 'node:path';
import { expectGolden } from '@remora/testing/golden';
import { describe, expect, test } from 'vitest';
import { goldenOf, runScripted } from './cli-fixture.ts';

const folder = path.join(import.meta.dirname, 'testdata/validate');

describe('validate, offline', () => {
  test.each(['mesh.yaml', 'misspelt.yaml', 'conflict.yaml', 'bound.yaml', 'unknown-service.yaml', 'unreadable.yaml', 'not-utf8.yaml', 'duplicates.yaml'])('%s', async (file) => {
    const args = ['validate', '-f', 'mesh.yaml', ...(file === 'mesh.yaml' ? [] : ['-f', file])];
    const run = await runScripted(args, { cwd: folder });
    expect(run.requests).toEqual([]);
    expect(run.exitCode).toBe(file === 'mesh.yaml' ? 0 : 1);
    expectGolden(path.join(folder, `${file}.txt`), goldenOf(args, run));
  });

  test('programs get the violations as JSON', async () => {
    const run = await runScripted(['validate', '-f', 'mesh.yaml', '-f', 'misspelt.yaml', '-o', 'json'], { cwd: folder });
    const { violations } = JSON.parse(run.out) as { violations: readonly { code: string; source: string; suggestion?: string }[] };
    expect(violations.map(({ code }) => code)).toContain('unknown-field');
    expect(violations.every(({ source }) => source.startsWith('misspelt.yaml:'))).toBe(true);
  });
});
