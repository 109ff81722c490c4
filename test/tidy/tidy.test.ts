import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSourceFiles, repositoryRoot, resolveImport, trackedFiles, workspacesByName } from './source-files.ts';

const files = readSourceFiles();
const tracked = trackedFiles();
const handwritten = files.filter((file) => !file.generated);

/** Files that something outside of imports starts or reads. */
const entries = [
  /\.(?:test|bench)\.ts$/, /^[^/]+\.ts$/, /(?:^|\/)main\.ts$/, /\/gen\//, /^deploy\//, /^test\/(?:bench|run|sim|e2e|tidy)\//, /^libs\/policies\/[^/]+\/(?:schema|compile|wire|filter)\.ts$/,
  /^libs\/cli\/bin\//, /-worker\.ts$/, /\/testdata\//, /^libs\/testing\//, /^test\/processes\/peers\//,
];

describe('tidy', () => {
  test('the check sees the repository', () => {
    expect(handwritten.length).toBeGreaterThan(200);
  });

  test('file names are kebab-case nouns, without grab bags', () => {
    const wrong = handwritten.map((file) => file.path).filter((file) => !/^(?:[a-z0-9.-]+\/)*[a-z0-9]+(?:[.-][a-z0-9]+)*\.ts$/.test(file)
      || /(?:^|\/)(?:utils?|helpers?|common|types|misc|index)\.ts$/.test(file));
    expect(wrong).toEqual([]);
  });

  test('no file is dead', () => {
    const workspaces = workspacesByName(files);
    const reached = new Set(files.flatMap((file) => file.imports.map((specifier) => resolveImport(file.path, specifier, workspaces)).filter((target) => target !== null)));
    expect(handwritten.map((file) => file.path).filter((file) => !reached.has(file) && !entries.some((entry) => entry.test(file)))).toEqual([]);
  });

  test('open work names its reason and its place', () => {
    const found = handwritten.filter((file) => file.path !== 'test/tidy/tidy.test.ts').flatMap((file) => file.text.split('\n').flatMap((line, index) =>
      /\b(?:TODO|FIXME|XXX|HACK)\b/.test(line) && !/TODO\([a-z-]+\): \S.{15,}/.test(line) ? [`${file.path}:${index + 1}`] : []));
    expect(found).toEqual([]);
  });

  test('no test is switched off or alone', () => {
    const found = files.filter((file) => file.path.endsWith('.test.ts') && file.path !== 'test/tidy/tidy.test.ts')
      .filter((file) => /\b(?:test|it|describe)\.(?:only|skip|todo)\(/.test(file.text)).map((file) => file.path);
    expect(found).toEqual([]);
  });

  test('tests wait for conditions, they do not sleep', () => {
    const sleep = /await new Promise(?:<[^>]*>)?\(\(?\w+\)? => setTimeout\(\w+, ?\d+\)\)/;
    const found = files.filter((file) => file.test && !file.path.startsWith('test/bench/') && sleep.test(file.text)).map((file) => file.path);
    expect(found).toEqual([]);
  });

  test('links in documents lead somewhere', () => {
    const documents = tracked.filter((file) => file.endsWith('.md'));
    expect(documents.length).toBeGreaterThan(15);
    const broken = documents.flatMap((file) => [...readFileSync(path.join(repositoryRoot, file), 'utf8').replaceAll(/```[\s\S]*?```/g, '').matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map((match) => match[1] ?? '').filter((target) => !existsSync(path.join(repositoryRoot, path.dirname(file), target))).map((target) => `${file} → ${target}`));
    expect(broken).toEqual([]);
  });

  test('every npm script that the documents name exists', () => {
    const scripts = (JSON.parse(readFileSync(path.join(repositoryRoot, 'package.json'), 'utf8')) as { scripts: Record<string, string> }).scripts;
    const named = tracked.filter((file) => file.endsWith('.md')).flatMap((file) =>
      [...readFileSync(path.join(repositoryRoot, file), 'utf8').matchAll(/npm run (?:-s )?([a-z][a-z:-]*)/g)].map((match) => `${file}: ${match[1]}`));
    expect(named.filter((entry) => scripts[entry.split(': ')[1] ?? ''] === undefined)).toEqual([]);
  });

  test('every version is exact', () => {
    const manifests = tracked.filter((file) => /(?:^|\/)package\.json$/.test(file) && !file.includes('testdata'));
    expect(manifests.length).toBeGreaterThan(20);
    const loose = manifests.flatMap((file) => {
      const manifest = JSON.parse(readFileSync(path.join(repositoryRoot, file), 'utf8')) as Record<string, Record<string, string> | undefined>;
      return ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((section) => Object.entries(manifest[section] ?? {}))
        .filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version)).map(([name, version]) => `${file}: ${name}@${version}`);
    });
    expect(loose).toEqual([]);
  });
});
