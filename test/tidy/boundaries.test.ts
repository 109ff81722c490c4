import { builtinModules } from 'node:module';
import { describe, expect, test } from 'vitest';
import { readPackage, readSourceFiles, resolveImport, workspaceOf, workspacesByName, type SourceFile } from './source-files.ts';

const files = readSourceFiles();
const workspaces = workspacesByName(files);
const handwritten = files.filter((file) => !file.generated);
const production = handwritten.filter((file) => !file.test && workspaceOf(file.path) !== '');

/** What a workspace may import of ours; policies are one row. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  core: [],
  errors: ['core'],
  http: ['core', 'errors'],
  proto: [],
  identity: ['core', 'errors', 'http', 'proto'],
  telemetry: ['core', 'errors', 'http', 'proto'],
  'policy-kit': ['core', 'errors', 'http', 'proto'],
  router: ['core', 'errors', 'http', 'proto', 'policy-kit'],
  model: ['core', 'errors', 'http', 'proto', 'policy-kit', 'router'],
  snapshot: ['core', 'errors', 'http', 'proto', 'policy-kit', 'router'],
  policy: ['core', 'errors', 'http', 'proto', 'policy-kit'],
  'control-plane': ['core', 'errors', 'http', 'proto', 'policy-kit', 'router', 'model', 'snapshot', 'identity', 'telemetry', 'policy'],
  sidecar: ['core', 'errors', 'http', 'proto', 'policy-kit', 'router', 'snapshot', 'identity', 'telemetry', 'policy'],
  cli: ['core', 'errors', 'http', 'proto', 'policy-kit', 'router', 'model', 'snapshot', 'identity', 'telemetry', 'control-plane', 'sidecar'],
};

const pure = new Set(['core', 'errors', 'http', 'policy-kit', 'router', 'snapshot', 'policy']);
const pureBuiltins = new Set(['node:crypto', 'node:buffer', 'node:util']);
const forbiddenInSidecar = ['zod', 'yaml', 'fastify', 'node:sqlite', 'node:child_process', 'commander'];

function typeOf(workspace: string): string {
  const tag = readPackage(workspace).nx?.tags?.find((candidate) => candidate.startsWith('type:'));
  return tag?.slice('type:'.length) ?? '';
}

function violations(check: (file: SourceFile, type: string) => string[]): string[] {
  return production.flatMap((file) => check(file, typeOf(workspaceOf(file.path))).map((text) => `${file.path}: ${text}`));
}

describe('boundaries', () => {
  test('the check sees the repository', () => {
    expect(production.length).toBeGreaterThan(150);
    expect(production.flatMap((file) => file.imports).length).toBeGreaterThan(500);
    for (const workspace of workspaces.values()) {
      if (workspace !== 'test' && workspace !== 'libs/testing') expect(Object.keys(allowed), workspace).toContain(typeOf(workspace));
    }
  });

  test('workspaces import only what their tag allows', () => {
    expect(violations((file, type) => file.imports.flatMap((specifier) => {
      const name = /^@remora\/[^/]+/.exec(specifier)?.[0];
      const target = name === undefined ? undefined : workspaces.get(name);
      if (name !== undefined && target === undefined) return [`imports ${specifier}, which is no workspace`];
      if (target === undefined || target === workspaceOf(file.path)) return [];
      return (allowed[type] ?? []).includes(typeOf(target)) ? [] : [`${type} may not import ${typeOf(target)} (${specifier})`];
    }))).toEqual([]);
  });

  test('relative imports stay inside their workspace', () => {
    expect(violations((file) => file.imports
      .filter((specifier) => specifier.startsWith('.') && workspaceOf(resolveImport(file.path, specifier, workspaces) ?? '') !== workspaceOf(file.path))
      .map((specifier) => `leaves its workspace: ${specifier}`))).toEqual([]);
  });

  test('the apps see only their half of a policy kind', () => {
    const halves: Readonly<Record<string, readonly string[]>> = { 'control-plane': ['schema', 'compile', 'wire', 'reasons'], sidecar: ['wire', 'filter', 'reasons'] };
    expect(violations((file, type) => file.imports.flatMap((specifier) => {
      const match = /^@remora\/policy-(?!kit)[^/]+\/(.+)$/.exec(specifier);
      return match && halves[type] && !halves[type].includes(match[1] ?? '') ? [`imports ${specifier}`] : [];
    }))).toEqual([]);
  });

  test('a filter knows nothing of schema or compile', () => {
    const halves = production.filter((file) => /^libs\/policies\/[^/]+\/(?:filter|wire)\.ts$/.test(file.path));
    expect(halves.length).toBeGreaterThan(20);
    expect(halves.flatMap((file) => closureOf(file.path).filter((reached) => /\/(?:schema|compile)\.ts$/.test(reached)).map((reached) => `${file.path} reaches ${reached}`))).toEqual([]);
  });

  test('the sidecar\'s import closure is free of the control plane\'s packages', () => {
    const reached = closureOf('sidecar/src/main.ts');
    expect(reached.length).toBeGreaterThan(60);
    const byPath = new Map(files.map((file) => [file.path, file]));
    const found = reached.flatMap((path) => (byPath.get(path)?.imports ?? [])
      .filter((specifier) => forbiddenInSidecar.some((name) => specifier === name || specifier.startsWith(`${name}/`)))
      .map((specifier) => `${path} imports ${specifier}`));
    expect(found).toEqual([]);
  });

  test('pure libraries do no input or output', () => {
    expect(violations((file, type) => pure.has(type) && !file.path.includes('/new-policy/')
      ? file.imports.filter((specifier) => isBuiltin(specifier) && !pureBuiltins.has(specifier)).map((specifier) => `imports ${specifier}`)
      : [])).toEqual([]);
  });

  test('built-in modules are imported with node:', () => {
    expect(violations((file) => file.imports.filter((specifier) => !specifier.startsWith('node:') && builtinModules.includes(specifier)))).toEqual([]);
  });

  test('nothing but tests imports test code', () => {
    expect(violations((file) => file.imports.filter((specifier) => /^@remora\/(?:testing|test)\b/.test(specifier)))).toEqual([]);
  });

  test('every import is declared by the workspace that uses it', () => {
    const undeclared = handwritten.filter((file) => workspaceOf(file.path) !== '' && !/\.(?:test|bench)\.ts$|\/testdata\//.test(file.path)).flatMap((file) => {
      const workspace = workspaceOf(file.path);
      const own = readPackage(workspace);
      return file.imports.flatMap((specifier) => {
        if (specifier.startsWith('.') || isBuiltin(specifier)) return [];
        const name = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
        if (name === own.name || own.dependencies?.[name] !== undefined) return [];
        return file.test && ['vitest', 'fast-check', 'esbuild', 'ajv'].includes(name) ? [] : [`${file.path}: ${name}`];
      });
    });
    expect(undeclared).toEqual([]);
  });

  test('files do not import each other in a circle', () => {
    expect(findCycle()).toBeNull();
  });
});

function isBuiltin(specifier: string): boolean {
  return specifier.startsWith('node:') || builtinModules.includes(specifier);
}

function closureOf(start: string): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const seen = new Set<string>();
  const queue = [start];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const file = byPath.get(next);
    if (!file || seen.has(next)) continue;
    seen.add(next);
    for (const specifier of file.imports) {
      const target = resolveImport(next, specifier, workspaces);
      if (target !== null) queue.push(target);
    }
  }
  return [...seen];
}

/** Type-only imports vanish at run time and may be mutual; a run-time circle is an error. */
function findCycle(): string[] | null {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const runtimeImports = (file: SourceFile): string[] => [...file.text.matchAll(/(?:^|\n)\s*(?:import|export)\s+(?!type\b)(?:[^'"`;]*?\bfrom\s*)?['"]([^'"]+)['"]/g)].map((match) => match[1] ?? '');
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): string[] | null => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    const file = byPath.get(path);
    if (!file || done.has(path)) return null;
    for (const specifier of runtimeImports(file)) {
      const target = resolveImport(path, specifier, workspaces);
      const cycle = target === null ? null : visit(target, [...trail, path]);
      if (cycle) return cycle;
    }
    done.add(path);
    return null;
  };
  for (const file of files) {
    const cycle = visit(file.path, []);
    if (cycle) return cycle;
  }
  return null;
}
