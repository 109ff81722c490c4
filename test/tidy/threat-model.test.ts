import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { repositoryRoot } from './source-files.ts';

/** Each line of the threat model points to a test that is there: `file`: words of its name; further words; `other file`: …. */
interface Line {
  readonly attack: string;
  readonly tests: string;
}

const text = readFileSync(path.join(repositoryRoot, 'docs/threat-model.md'), 'utf8');

function linesOf(page: string): Line[] {
  const tables = page.split(/^## /m).filter((section) => /\| attack \|/.test(section));
  return tables.flatMap((section) => section.split('\n').filter((line) => line.startsWith('| ') && !/^\| (?:attack|---)/.test(line)).map((line) => {
    const cells = line.split(' | ');
    return { attack: (cells[0] ?? '').slice(2), tests: (cells.at(-1) ?? '').replace(/ \|$/, '') };
  }));
}

/** The words that a line looks for, by file. */
function claims({ tests }: Line): { readonly file: string; readonly words: string }[] {
  let file = '';
  return tests.split('; ').map((part) => {
    const named = /^`([^`]+)`: (.+)$/.exec(part);
    if (named !== null) file = named[1] ?? '';
    return { file, words: named?.[2] ?? part };
  });
}

describe('the threat model', () => {
  const lines = linesOf(text);

  test('has lines for each boundary', () => expect(lines.length).toBeGreaterThan(30));

  test.each(lines.map((line) => [line.attack, line] as const))('%s', (_attack, line) => {
    for (const { file, words } of claims(line)) {
      expect(existsSync(path.join(repositoryRoot, file)), `${file} is there`).toBe(true);
      const names = readFileSync(path.join(repositoryRoot, file), 'utf8').split('\n').filter((source) => /\b(?:it|test|describe)\b/.test(source));
      expect(names.some((name) => name.includes(words)), `${file} has a test named with "${words}"`).toBe(true);
    }
  });
});
