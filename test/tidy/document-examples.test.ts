import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createPlanner } from '@remora/control-plane/compile/planner';
import { authoringKinds, wireKinds } from '@remora/control-plane/kinds';
import type { StoredDocument } from '@remora/control-plane/store/store';
import { loadDocuments, type InputFile } from '@remora/model/load-documents';
import { createModel } from '@remora/model/model';
import { checkRegex } from '@remora/router/regex';
import { describe, expect, test } from 'vitest';
import { repositoryRoot, trackedFiles } from './source-files.ts';

/** Every example in the documentation is what it says: documents that this build accepts. */
const model = createModel({ kinds: authoringKinds, checkRegex });

interface Block {
  /** `docs/documents.md:17`. */
  readonly name: string;
  readonly file: string;
  readonly text: string;
}

const pages = trackedFiles().filter((file) => /^(?:README\.md|CONTRIBUTING\.md|docs\/.*\.md|libs\/policies\/[^/]+\/README\.md)$/.test(file));
const blocks = pages.flatMap((file) => yamlBlocks(file, readFileSync(path.join(repositoryRoot, file), 'utf8')));

function yamlBlocks(file: string, text: string): Block[] {
  return [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((match) => {
    const line = text.slice(0, match.index).split('\n').length + 1;
    return { name: `${file}:${line}`, file, text: match[1] ?? '' };
  });
}

function problemsOf(files: readonly InputFile[]): { readonly keys: readonly StoredDocument[]; readonly problems: readonly string[] } {
  const loaded = loadDocuments(files);
  const { documents, violations } = model.validateDocuments(loaded.documents);
  return {
    keys: documents.map(({ key, document }) => ({ key, document, writtenAt: 0, owner: '' })),
    problems: [...loaded.violations, ...violations].map(({ source, pointer, message }) => `${source ?? ''} ${pointer}: ${message}`),
  };
}

/** The documents as the whole mesh: references, conflicts, bounds, compilation, decoding. */
function planProblems(documents: readonly StoredDocument[]): readonly string[] {
  const stored = new Map(documents.map((one) => [one.key, one]));
  const plan = createPlanner({ kinds: authoringKinds, wireKinds, model }).plan(null, stored, stored.keys());
  return plan.ok ? [] : plan.violations.map(({ document, pointer, message }) => `${document ?? ''}${pointer}: ${message}`);
}

describe('examples in the documentation', () => {
  test('the check sees them', () => {
    expect(blocks.length).toBeGreaterThan(15);
    expect(new Set(blocks.map(({ file }) => file)).size).toBeGreaterThan(12);
  });

  test.each(blocks)('$name', ({ name, text }) => {
    const { keys, problems } = problemsOf([{ name, bytes: text }]);
    expect(problems).toEqual([]);
    expect(keys.length).toBeGreaterThan(0);
  });

  test('the ten lines of the README are those that an example runs', () => {
    expect(blocks.filter(({ file }) => file === 'README.md').map(({ text }) => text)).toEqual([readFileSync(path.join(repositoryRoot, 'deploy/examples/02-my-app/app.yaml'), 'utf8')]);
  });

  test.each(['README.md', 'docs/documents.md', 'docs/tunnels.md', 'docs/grpc.md'])('%s: together they are a mesh', (page) => {
    const { keys, problems } = problemsOf(blocks.filter(({ file }) => file === page).map(({ name, text }) => ({ name, bytes: text })));
    expect(problems).toEqual([]);
    expect(planProblems(keys)).toEqual([]);
  });

  test.each(blocks.filter(({ file }) => file.startsWith('libs/policies/')))('$name: holds in a mesh that has what it names', ({ name, text }) => {
    const { keys, problems } = problemsOf([{ name, bytes: text }, { name: 'what it names', bytes: JSON.stringify(namedBy(text)) }]);
    expect(problems).toEqual([]);
    expect(planProblems(keys)).toEqual([]);
  });
});

/** The Services, Gateways and Routes that policies of an example name, and a Mesh with a store: nothing else that it would need. */
function namedBy(text: string): readonly object[] {
  const services = new Set<string>();
  const gateways = new Set<string>();
  const routes = new Map<string, object>();
  const { keys } = problemsOf([{ name: 'example', bytes: text }]);
  for (const { document } of keys) {
    const { target, from } = document as { readonly target?: Names; readonly from?: Names };
    for (const names of [target, from, ...destinationsOf(document)]) {
      if (names?.service !== undefined) services.add(names.service);
      if (names?.gateway !== undefined) gateways.add(names.gateway);
    }
    if (target?.route !== undefined) routes.set(target.route, target.service === undefined ? { gateway: target.gateway, to: [{ service: anyService }] } : { service: target.service });
  }
  const there = new Set(keys.map(({ key }) => key));
  return [
    { kind: 'Mesh', name: 'mesh', stores: { redis: { address: '127.0.0.1:6379', allowPrivateAddresses: true } } },
    ...[anyService, ...services].map((name) => ({ kind: 'Service', name, ports: { http: { port: 8080 }, metrics: { port: 9090 } }, dependsOn: [...services].filter((other) => other !== name) })),
    ...[...gateways].map((name) => ({ kind: 'Gateway', name, listeners: { plain: { port: 8000 } } })),
    ...[...routes].map(([name, match]) => ({ kind: 'Route', name, match: { path: { prefix: `/${name}` } }, ...match })),
  ].filter(({ kind, name }) => !there.has(`${kind}/${name}`));
}

interface Names {
  readonly service?: string;
  readonly gateway?: string;
  readonly route?: string;
}

const anyService = 'some-service';

/** Where `mirror` and `fallback` send. */
function destinationsOf(document: object): Names[] {
  return Object.values(document).flatMap((section: { readonly to?: Names } | undefined) => (section?.to === undefined ? [] : [section.to]));
}
