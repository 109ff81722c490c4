import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addToOrder, addToRegistry, sidecarParts } from './registry-edits.ts';
import { newKind } from './skeleton-files.ts';

const repository = path.resolve(import.meta.dirname, '../../..');

/** A copy of what the generator touches and its result is tested with, so that the repository stays as it is. */
describe('a generated kind', () => {
  let root = '';

  beforeAll(() => {
    root = mkdtempSync(path.join(tmpdir(), 'remora-new-policy-'));
    for (const name of ['libs', 'proto', 'control-plane', 'sidecar', 'package.json', 'tsconfig.json', 'vitest.config.ts']) {
      cpSync(path.join(repository, name), path.join(root, name), { recursive: true, filter: (file) => !file.includes('node_modules') });
    }
    const modules = path.join(root, 'node_modules');
    mkdirSync(path.join(modules, '@remora'), { recursive: true });
    for (const name of readdirSync(path.join(repository, 'node_modules'))) {
      if (name !== '@remora') symlinkSync(path.join(repository, 'node_modules', name), path.join(modules, name));
    }
    cpSync(path.join(repository, 'node_modules/@remora'), path.join(modules, '@remora'), { recursive: true, verbatimSymlinks: true });
  });

  afterAll(() => {
    rmSync(root, { recursive: true, force: true });
  });

  const generate = (...args: string[]): string =>
    execFileSync(process.execPath, [path.join(root, 'libs/policy-kit/new-policy/main.ts'), ...args, '--root', root], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

  test('builds, and passes its own tests and the contract of all kinds', () => {
    expect(generate('tagOutgoing', '--side', 'caller')).toContain('libs/policies/tag-outgoing');
    expect(generate('debug')).toContain('a provider-side kind debug');
    expect(readFileSync(path.join(root, 'libs/policy-kit/order.ts'), 'utf8')).toContain("provider('debug', true,");
    const compiled = spawnSync(path.join(root, 'node_modules/.bin/tsc'), ['--noEmit'], { cwd: root, encoding: 'utf8' });
    expect(compiled.stdout.split('\n').filter((line) => /debug|tag-outgoing|kinds\.ts/.test(line))).toEqual([]);
    const run = spawnSync(path.join(root, 'node_modules/.bin/vitest'), [
      'run', 'libs/policies/debug', 'libs/policies/tag-outgoing', 'libs/testing', '-t', 'debug|tagOutgoing|marks|same kinds', '--reporter=verbose',
    ], { cwd: root, encoding: 'utf8', env: { ...process.env, NO_COLOR: '1', UPDATE_GOLDEN: '' } });
    expect(run.stdout.split('\n').filter((line) => /[×✗]/.test(line))).toEqual([]);
    for (const kind of ['debug', 'tagOutgoing']) expect(run.stdout).toMatch(new RegExp(`✓ .*kind-contract.test.ts > ${kind} > has a complete folder`));
    expect(run.stdout).toMatch(/✓ .*debug.test.ts > marks the response/);
    expect(run.status).toBe(0);
  }, 120_000);

  test.each([[['Bad Name']], [['retry']], [[]], [['jwt', '--side', 'caller']], [['x', '--side', 'both']]])('is refused for %j, with nothing written', (args) => {
    const before = readFileSync(path.join(root, 'libs/policy-kit/order.ts'), 'utf8');
    expect(() => generate(...args)).toThrow(/usage|is not a name|is there already|reserved for the other side/);
    expect(readFileSync(path.join(root, 'libs/policy-kit/order.ts'), 'utf8')).toBe(before);
  });
});

describe('edits of the registries', () => {
  const kind = newKind('tagOutgoing', 'caller');

  test.each([['tagOutgoing', 'tag-outgoing'], ['tag-outgoing', 'tag-outgoing'], ['jwt', 'jwt']])('%s goes to %s', (name, folder) => {
    expect(newKind(name, 'provider')?.folder).toBe(folder);
  });

  test.each(['', 'Tag', 'tag_outgoing', '-tag', 'tag-', '../tag', '1tag'])('%j is no name', (name) => {
    expect(newKind(name, 'provider')).toBeNull();
  });

  test('keep the order of names', () => {
    const text = ["import { aRuntime } from '@remora/policy-a/filter';", "import { zRuntime } from '@remora/policy-z/filter';", 'new Map([', '  register(aRuntime),', '  register(zRuntime),', ']);'].join('\n');
    expect(kind && addToRegistry(text, kind, sidecarParts).split('\n')).toEqual([
      "import { aRuntime } from '@remora/policy-a/filter';", "import { tagOutgoingRuntime } from '@remora/policy-tag-outgoing/filter';", "import { zRuntime } from '@remora/policy-z/filter';",
      'new Map([', '  register(aRuntime),', '  register(tagOutgoingRuntime),', '  register(zRuntime),', ']);',
    ]);
  });

  test('put an unknown kind last on its side', () => {
    const text = "  provider('a', true, 'x'),\n  caller('b', true, 'x'),\n];";
    expect(kind && addToOrder(text, kind).split('\n')[2]).toMatch(/^ {2}caller\('tagOutgoing', true,/);
  });
});
