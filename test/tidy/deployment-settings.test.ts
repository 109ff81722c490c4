import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { readSettings as readControlPlaneSettings } from '@remora/control-plane/settings/read-settings';
import { readSettings as readSidecarSettings } from '@remora/sidecar/settings/read-settings';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { repositoryRoot } from './source-files.ts';

/**
 * The settings in `deploy/` are read by the programs they are for. Symptom once: a compose file that gave a gateway `--outbound`,
 * its apps a URL where they take HOST:PORT, and the first apply a folder that did not exist; nothing but a start showed it.
 */
interface Container {
  readonly name: string;
  readonly image: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const deploy = path.join(repositoryRoot, 'deploy');

function readYaml(file: string): readonly unknown[] {
  return parseAllDocuments(readFileSync(path.join(deploy, file), 'utf8'), { merge: true }).map((document) => document.toJS() as unknown);
}

interface ComposeService {
  readonly image: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
}

const compose = (readYaml('compose/compose.yaml')[0] as { readonly services: Readonly<Record<string, ComposeService>> }).services;
const composed: readonly Container[] = Object.entries(compose).map(([name, { image, command, environment }]) => ({ name: `compose: ${name}`, image, argv: command ?? [], env: environment ?? {} }));
const deployed: readonly Container[] = readdirSync(path.join(deploy, 'kubernetes')).flatMap((file) => readYaml(`kubernetes/${file}`)).flatMap((document) => {
  const { template } = (document as { readonly spec?: { readonly template?: { readonly spec: Readonly<Record<string, readonly (Omit<Container, 'argv' | 'env'> & { readonly args?: readonly string[] })[]>> } } }).spec ?? {};
  return [...(template?.spec['initContainers'] ?? []), ...(template?.spec['containers'] ?? [])].map(({ name, image, args }) => ({ name: `kubernetes: ${name}`, image, argv: args ?? [], env: {} }));
});
const own = [...composed, ...deployed].filter(({ image }) => /^remora\/(?:sidecar|control-plane):/.test(image));

/** In the form of `remora token create`; nobody's. */
const joinToken = `rmj1.aaaaaaaaaaaa.${'A'.repeat(43)}.${'A'.repeat(43)}.shop.example`;

test('the check sees the containers', () => {
  expect(own.length).toBeGreaterThanOrEqual(7);
});

test.each(own)('$name: its settings are accepted', ({ image, argv, env }) => {
  const readFile = (file: string): string => (file.endsWith('/join/token') ? joinToken : '{}');
  const problems = image.startsWith('remora/sidecar:') ? sidecarProblems() : controlPlaneProblems();
  expect(problems).toEqual([]);

  function sidecarProblems(): readonly unknown[] {
    const read = readSidecarSettings({ argv, env, readFile });
    return read.kind === 'invalid' ? read.problems : [];
  }
  function controlPlaneProblems(): readonly unknown[] {
    const read = readControlPlaneSettings(argv, env, readFile);
    return read.ok ? [] : read.problems;
  }
});

test('each app of the compose file calls through the outbound side of its own sidecar', () => {
  const callers = Object.entries(compose).filter(([, { environment }]) => environment?.['OUTBOUND'] !== undefined);
  expect(callers.length).toBeGreaterThan(0);
  for (const [name, { environment }] of callers) {
    const read = readSidecarSettings({ argv: compose[`${name}-sidecar`]?.command ?? [], env: {}, readFile: () => '{}' });
    const outbound = read.kind === 'run' ? read.settings.outbound : null;
    expect(environment?.['OUTBOUND'], name).toBe(`${outbound?.host}:${outbound?.port}`);
  }
});

test('files that the compose file mounts exist', () => {
  const sources = Object.values(compose).flatMap(({ volumes }) => volumes ?? []).map((volume) => volume.split(':')[0] ?? '').filter((source) => source.startsWith('.'));
  expect(sources.length).toBeGreaterThan(1);
  expect(sources.filter((source) => !existsSync(path.join(deploy, 'compose', source)))).toEqual([]);
});

test('a sidecar container has started before its app is there: its startup probe does not wait for the app', () => {
  const probe = /startupProbe:.*\/\/127\.0\.0\.1:15000(\/[a-z]+)/.exec(readFileSync(path.join(deploy, 'kubernetes/service-with-sidecar.yaml'), 'utf8'));
  // `/ready` is 503 until the app accepts connections, and Kubernetes starts the app after this probe has succeeded.
  expect(probe?.[1]).toBe('/snapshot');
});
