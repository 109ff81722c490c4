import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface SourceFile {
  /** Relative to the root of the repository. */
  readonly path: string;
  readonly text: string;
  /** Specifiers of static and dynamic imports and re-exports. */
  readonly imports: readonly string[];
  readonly generated: boolean;
  readonly test: boolean;
}

export const repositoryRoot = path.resolve(import.meta.dirname, '../..');

/** Every file that git tracks or would track, so that a new file cannot hide. */
export function trackedFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], { cwd: repositoryRoot, encoding: 'utf8', maxBuffer: 64 << 20 });
  return listed.split('\0').filter((file) => file !== '' && existsSync(path.join(repositoryRoot, file)));
}

const staticImport = /(?:^|\n)\s*(?:import|export)\b(?:[^'"`;]*?\bfrom)?\s*['"]([^'"]+)['"]/g;
const dynamicImport = /\bimport\(\s*['"]([^'"]+)['"]\s*[,)]/g;
const workerUrl = /new URL\(\s*['"](\.{1,2}\/[^'"]+\.ts)['"]\s*,\s*import\.meta\.url/g;

export function importsOf(text: string): string[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/[^\n]*/g, '$1');
  return [staticImport, dynamicImport, workerUrl].flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1] ?? ''));
}

export function isTestFile(file: string): boolean {
  return /\.(?:test|bench)\.ts$/.test(file) || file.startsWith('test/') || file.startsWith('libs/testing/') || file.includes('/testdata/') || file.startsWith('deploy/');
}

export function readSourceFiles(): SourceFile[] {
  return trackedFiles()
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .map((file) => {
      const text = readFileSync(path.join(repositoryRoot, file), 'utf8');
      return { path: file, text, imports: importsOf(text), generated: file.includes('/gen/'), test: isTestFile(file) };
    });
}

/** `libs/core`, `libs/policies/cors`, `control-plane` …: the workspace a file belongs to; '' for the root. */
export function workspaceOf(file: string): string {
  const match = /^(?:libs\/policies\/[^/]+|libs\/[^/]+|control-plane|sidecar|proto|test)(?=\/)/.exec(file);
  return match?.[0] ?? '';
}

interface PackageJson {
  readonly name: string;
  readonly exports?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly nx?: { readonly tags?: readonly string[] };
}

export function readPackage(workspace: string): PackageJson {
  return JSON.parse(readFileSync(path.join(repositoryRoot, workspace, 'package.json'), 'utf8')) as PackageJson;
}

/** Workspace folders by package name. */
export function workspacesByName(files: readonly SourceFile[]): Map<string, string> {
  const folders = new Set(files.map((file) => workspaceOf(file.path)).filter((folder) => folder !== ''));
  return new Map([...folders].map((folder) => [readPackage(folder).name, folder]));
}

/** The file an import of ours means; null for packages and node modules. */
export function resolveImport(from: string, specifier: string, workspaces: ReadonlyMap<string, string>): string | null {
  if (specifier.startsWith('.')) return path.normalize(path.join(path.dirname(from), specifier));
  const match = /^(@remora\/[^/]+)\/(.+)$/.exec(specifier);
  const folder = workspaces.get(match?.[1] ?? '');
  if (!match || folder === undefined) return null;
  const pattern = readPackage(folder).exports ?? {};
  const exact = pattern[`./${match[2]}`];
  if (exact !== undefined) return path.normalize(path.join(folder, exact));
  for (const [key, target] of Object.entries(pattern)) {
    const [head = '', tail = ''] = key.slice(2).split('*');
    const rest = match[2] ?? '';
    if (key.includes('*') && rest.startsWith(head) && rest.endsWith(tail)) {
      return path.normalize(path.join(folder, target.replace('*', rest.slice(head.length, rest.length - tail.length))));
    }
  }
  return null;
}
