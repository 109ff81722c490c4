import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from './source-files.ts';

/** A line of a page whose last column names tests: `file`: words of the test's name; further words; `other file`: …. */
export interface ProvedLine {
  /** Its first column. */
  readonly says: string;
  readonly tests: string;
}

/** The lines of all tables of a page whose first column has this title. */
export function provedLines(page: string, title: string): ProvedLine[] {
  const tables = page.split(/^## /m).filter((section) => section.includes(`| ${title} |`));
  return tables.flatMap((section) => section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith(`| ${title} |`) && !line.startsWith('| ---')).map((line) => {
    const cells = line.split(' | ');
    return { says: (cells[0] ?? '').slice(2), tests: (cells.at(-1) ?? '').replace(/ \|$/, '') };
  }));
}

/** What the line names and is not there. */
export function missingTests({ tests }: ProvedLine): string[] {
  let file = '';
  return tests.split('; ').flatMap((part) => {
    const named = /^`([^`]+)`: (.+)$/.exec(part);
    if (named !== null) file = named[1] ?? '';
    const words = named?.[2] ?? part;
    const full = path.join(repositoryRoot, file);
    if (file === '' || !existsSync(full)) return [`${file} is not there`];
    const names = readFileSync(full, 'utf8').split('\n').filter((source) => /\b(?:it|test|describe)\b|\)\('/.test(source));
    return names.some((name) => name.includes(words)) ? [] : [`${file} has no test named with "${words}"`];
  });
}
