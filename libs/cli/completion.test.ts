import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expectGolden } from '@remora/testing/golden';
import { describeWith } from '@remora/testing/requirement';
import { scratchFolder } from '@remora/testing/scratch-folder';
import { describe, expect, test } from 'vitest';
import { runScripted } from './cli-fixture.ts';

const shells = ['bash', 'zsh', 'fish'] as const;

async function scriptFor(shell: string): Promise<string> {
  return (await runScripted(['completion', shell])).out;
}

/** What bash offers when Tab is pressed after these words; the last one is begun. */
function bashOffers(script: string, words: readonly string[]): string[] {
  const file = path.join(scratchFolder('completion'), 'remora.bash');
  writeFileSync(file, `${script}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})\nCOMP_CWORD=${words.length - 1}\n_remora\nprintf '%s\\n' "\${COMPREPLY[@]}"\n`);
  const run = spawnSync('bash', [file], { encoding: 'utf8', timeout: 10_000 });
  expect(run.stderr).toBe('');
  return run.stdout.split('\n').filter((line) => line !== '');
}

describe('completion scripts', () => {
  test.each(shells)('%s', async (shell) => {
    expectGolden(path.join(import.meta.dirname, `testdata/completion/${shell}.txt`), await scriptFor(shell));
  });

  test('an unknown shell is a usage error', async () => {
    expect((await runScripted(['completion', 'tcsh'])).exitCode).toBe(2);
  });
});

describeWith('bash', 'the script in bash', () => {
  test.each([
    { words: ['remora', 'hist'], offers: ['history'] },
    { words: ['remora', 'apply', '--dr'], offers: ['--dry-run'] },
    { words: ['remora', 'get', 'po'], offers: ['policies'] },
    { words: ['remora', 'get', 'policies', '-o', 'j'], offers: ['json'] },
    { words: ['remora', 'completion', 'f'], offers: ['fish'] },
  ])('bash offers $offers after $words', async ({ words, offers }) => {
    expect(bashOffers(await scriptFor('bash'), words)).toEqual(offers);
  });
});
