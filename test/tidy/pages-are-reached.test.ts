import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot, trackedFiles } from './source-files.ts';

const pages = new Set(trackedFiles().filter((file) => file.endsWith('.md')));

/** Pages that a page links to, by their paths in the repository. */
function linkedFrom(page: string): string[] {
  const text = readFileSync(path.join(repositoryRoot, page), 'utf8');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target.replace(/#.*/, '')).filter((target) => target !== '' && !target.includes('://'))
    .map((target) => path.posix.join(path.posix.dirname(page), target));
}

test('every page is reached from the README', () => {
  const seen = new Set(['README.md']);
  for (const page of seen) for (const linked of linkedFrom(page)) if (pages.has(linked)) seen.add(linked);
  expect([...pages].filter((page) => !seen.has(page))).toEqual([]);
});
