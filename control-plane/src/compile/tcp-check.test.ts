import { readFileSync } from 'node:fs';
import path from 'node:path';
import { loadDocuments } from '@remora/model/load-documents';
import { createModel } from '@remora/model/model';
import { Manifest, Resource } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { expectGolden, goldenJson } from '@remora/testing/golden';
import { checkRegex } from '@remora/router/regex';
import { describe, expect, test } from 'vitest';
import { authoringKinds, wireKinds } from '../kinds.ts';
import type { DocumentKey, StoredDocument } from '../store/store.ts';
import { createPlanner, type Planned, type PlanResult } from './planner.ts';

const folder = path.join(import.meta.dirname, 'testdata/tcp');
const model = createModel({ kinds: authoringKinds, checkRegex });
const planner = createPlanner({ kinds: authoringKinds, wireKinds, model });

function documentsOf(text: string): Map<DocumentKey, StoredDocument> {
  const { documents, violations } = loadDocuments([{ name: 'text', bytes: text }]);
  const result = model.validateDocuments(documents);
  expect([...violations, ...result.violations]).toEqual([]);
  return new Map(result.documents.map(({ key, document }) => [key, { key, document, writtenAt: 1, owner: '' }]));
}

function plan(text: string, previous: Planned | null = null): PlanResult {
  const documents = documentsOf(text);
  return planner.plan(previous, documents, documents.keys());
}

function planned(text: string): Planned {
  const result = plan(text);
  if (!result.ok) throw new Error(JSON.stringify(result.violations));
  return result.planned;
}

const valid = readFileSync(path.join(folder, 'valid.yaml'), 'utf8');

/** Of the subject's manifest: what has a protocol or a port, without settings. */
function carried(result: Planned, subject: 'service/mail' | 'gateway/edge'): unknown {
  const compiled = result.compilation.subjects.get(subject);
  const bodies = [...(compiled?.resources.values() ?? [])].map((bytes) => Resource.decode(bytes).body);
  expect(Manifest.decode(compiled?.manifest ?? new Uint8Array()).subjectKind).toBe(subject.split('/')[0]);
  return bodies.flatMap((body) => {
    if (body?.$case === 'inbound') return [`inbound ${body.value.portName} ${body.value.protocol}`];
    if (body?.$case === 'listener') return [`listener ${body.value.name} ${body.value.protocol}`];
    if (body?.$case === 'route') return [`route ${body.value.name} on ${body.value.ports.join()} for ${body.value.match?.hosts.join() ?? 'any'}`];
    if (body?.$case === 'destination') return [`destination ${body.value.service} ${body.value.ports.map(({ name, protocol }) => `${name} ${protocol}`).join()}`];
    return [];
  }).sort();
}

describe('documents with ports that carry TCP', () => {
  test('compile to snapshots that say so', () => {
    const result = planned(valid);
    expectGolden(path.join(folder, 'valid.golden.json'), goldenJson({ service: carried(result, 'service/mail'), gateway: carried(result, 'gateway/edge') }));
  });

  test('are refused where they ask for what only requests have, each with its place', () => {
    const result = plan(readFileSync(path.join(folder, 'invalid.yaml'), 'utf8'));
    expectGolden(path.join(folder, 'invalid.golden.json'), goldenJson(result.ok ? [] : result.violations));
  });

  test('explain that inherited kinds are ignored there', () => {
    const { resolver } = planned(valid);
    const why = (owner: { kind: 'service' | 'gateway'; name: string }, field: string, route?: string): string =>
      resolver.explain({ owner, ...(route === undefined ? {} : { route }) }, field)?.[0]?.why ?? '';
    expect(why({ kind: 'service', name: 'db' }, '/cors')).toMatch(/It is ignored here: every port carries TCP connections\.$/);
    expect(why({ kind: 'service', name: 'mail' }, '/cors')).toMatch(/It is ignored on smtp, smtps, which carries TCP connections\.$/);
    expect(why({ kind: 'gateway', name: 'edge' }, '/cors', 'sql')).toMatch(/It is ignored here: the Route carries TCP connections\.$/);
    expect(why({ kind: 'gateway', name: 'edge' }, '/cors', 'web')).not.toMatch(/ignored/);
    expect(why({ kind: 'service', name: 'db' }, '/ipAccess')).not.toMatch(/ignored/);
  });

  test('are looked at again when a Route goes over to TCP, and what its policies ask for', () => {
    const before = planned('kind: Service\nname: db\nports: {http: {port: 80}, sql: {port: 5432, protocol: tcp}}\n---\nkind: Route\nname: r\nservice: db\nports: [http]\n---\nkind: Policy\nname: p\ntarget: {service: db, route: r}\ncors: {origins: ["https://a.example"]}');
    const documents = new Map(before.documents);
    for (const [key, document] of documentsOf('kind: Route\nname: r\nservice: db\nports: [sql]')) documents.set(key, document);
    const result = planner.plan(before, documents, ['Route/r']);
    expect(result.ok ? [] : result.violations.map(({ document, pointer, code }) => `${document} ${pointer} ${code}`)).toEqual(['Policy/p /cors needs-requests']);
  });

  test('are looked at again when a port begins to carry TCP', () => {
    const before = planned('kind: Service\nname: db\nports: {sql: {port: 5432}}\n---\nkind: Gateway\nname: edge\nlisteners: {web: {port: 80}}\n---\nkind: Route\nname: sql\ngateway: edge\nto: [{service: db}]');
    const documents = new Map(before.documents);
    const db = documentsOf('kind: Service\nname: db\nports: {sql: {port: 5432, protocol: tcp}}').get('Service/db');
    if (db === undefined) throw new Error('no document');
    documents.set('Service/db', db);
    const result = planner.plan(before, documents, ['Service/db']);
    expect(result.ok ? [] : result.violations.map(({ document, pointer, code }) => `${document} ${pointer} ${code}`)).toEqual(['Route/sql /to/0/port wrong-protocol']);
  });
});
