import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { JsonObject } from '@remora/core/canonical-json';

/** What stands in the folders of the policy kinds, for the suite that runs over all of them. */
export interface PolicyFolder {
  /** `rate-limit`. */
  readonly folder: string;
  /** `rateLimit`. */
  readonly kind: string;
  readonly files: readonly string[];
  readonly readme: string;
  /** Its own code, without tests: everything in the folder itself. */
  readonly source: string;
  /** Sections that are accepted, by name of their file. */
  readonly valid: ReadonlyMap<string, JsonObject>;
  readonly invalid: ReadonlyMap<string, JsonObject>;
}

const root = path.resolve(import.meta.dirname, '../policies');

export function readPolicyFolders(): PolicyFolder[] {
  return readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory() && entry.name !== 'node_modules').map(({ name }) => readFolder(name));
}

function readFolder(folder: string): PolicyFolder {
  const at = path.join(root, folder);
  const readme = path.join(at, 'README.md');
  const sources = readdirSync(at).filter((name) => name.endsWith('.ts') && !name.includes('.test.') && !name.includes('.bench.'));
  return {
    folder,
    kind: folder.replaceAll(/-(.)/g, (_match, letter: string) => letter.toUpperCase()),
    files: readdirSync(at, { recursive: true, encoding: 'utf8' }),
    readme: existsSync(readme) ? readFileSync(readme, 'utf8') : '',
    source: sources.map((name) => readFileSync(path.join(at, name), 'utf8')).join('\n'),
    valid: readSections(path.join(at, 'testdata/valid')),
    invalid: readSections(path.join(at, 'testdata/invalid')),
  };
}

function readSections(folder: string): Map<string, JsonObject> {
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json') && !name.endsWith('.golden.json')) : [];
  return new Map(names.map((name) => [name, JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as JsonObject]));
}
