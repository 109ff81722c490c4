import { Ajv2020 } from 'ajv/dist/2020.js';
import type { RouteOptions } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectGolden } from '@remora/testing/golden';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadDocuments } from '@remora/model/load-documents';
import { openGate } from '../operators/gate.ts';
import { createApiServer, fastifyPath } from './server.ts';
import { statusOfProblem } from './openapi.ts';
import { startApi } from './testdata/api-fixture.ts';
import type { ApiFixture, FixtureBody } from './testdata/api-fixture.ts';

describe('OpenAPI', () => {
  let api: ApiFixture;
  let document: FixtureBody;
  beforeAll(async () => {
    api = await startApi();
    document = (await api.call('GET', '/openapi.json')).body;
  });
  afterAll(() => api.close());

  const operations = (): { path: string; method: string; operation: FixtureBody }[] =>
    Object.entries(document.paths as Record<string, Record<string, FixtureBody>>).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })));

  test('has every path that the server has, and no other', async () => {
    const registered: string[] = [];
    const server = createApiServer({ routes: api.routes, gate: openGate(api.controlPlane.store), audit: api.controlPlane.audit, alarm: () => {}, onRoute: ({ method, url }: RouteOptions) => {
      for (const one of [method].flat()) if (one !== 'HEAD') registered.push(`${String(one)} ${url}`);
    } });
    await server.instance.ready();
    await server.close();
    expect(operations().map(({ path, method }) => `${method} ${fastifyPath(path)}`).sort()).toEqual(registered.sort());
  });

  test('every operation has a name of its own, a summary, and its path parameters', () => {
    const names = operations().map(({ operation }) => operation.operationId);
    expect(new Set(names).size).toBe(names.length);
    for (const { path, operation } of operations()) {
      expect(operation.summary, path).toMatch(/^[A-Z]/);
      const parameters = (operation.parameters ?? []).filter((one: { in: string }) => one.in === 'path').map((one: { name: string }) => one.name);
      expect(parameters, path).toEqual([...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]));
    }
  });

  test('every reference leads somewhere, and the schemas compile', () => {
    const ajv = new Ajv2020({ strict: false });
    ajv.addSchema(document, 'api');
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(references.length).toBeGreaterThan(50);
    for (const reference of new Set(references)) {
      expect(reference).toMatch(/^#\/components\/schemas\/\w+$/);
      expect(Object.keys(document.components.schemas), reference).toContain(reference.slice('#/components/schemas/'.length));
    }
    for (const id of Object.keys(document.components.schemas)) expect(ajv.compile({ $ref: `api#/components/schemas/${id}` }), id).toBeTypeOf('function');
  });

  test('answers hold against the published schemas, as a foreign client would check them', async () => {
    const ajv = new Ajv2020({ strict: false });
    ajv.addSchema(document, 'api');
    const { body } = await api.call('POST', '/v1/apply?dryRun', { body: 'kind: Service\nname: a\nports: {http: {port: 1, protocol: http}}\n' });
    const check = ajv.compile({ $ref: 'api#/components/schemas/WriteAnswer' });
    expect(check(body), JSON.stringify(check.errors)).toBe(true);
  });

  test('says who may use each operation', () => {
    expect(document.components.securitySchemes.token).toMatchObject({ type: 'http', scheme: 'bearer' });
    for (const { path, operation } of operations()) expect(operation.security, path).toEqual(operation.description.endsWith('Without a token.') ? [] : [{ token: [] }]);
  });

  test('every problem code that a route names exists', () => {
    for (const route of api.routes) for (const code of route.problems ?? []) expect(statusOfProblem(code), `${route.operationId}: ${code}`).not.toBe(500);
  });

  test('is as kept', () => {
    const outline = operations().map(({ path, method, operation }) => `${method.padEnd(6)} ${path}  ${operation.operationId}  → ${Object.keys(operation.responses).join(' ')}`);
    expectGolden(join(import.meta.dirname, 'testdata/openapi-outline.txt'), outline.join('\n'));
  });
});

describe('pages beside the API', () => {
  let api: ApiFixture;
  beforeAll(async () => {
    api = await startApi();
  });
  afterAll(() => api.close());

  test('the page to browse needs nothing from elsewhere', async () => {
    const page = await api.call('GET', '/docs');
    expect(page.headers['content-security-policy']).toContain("default-src 'none'");
    for (const [, file] of page.text.matchAll(/(?:src|href)="([^"]+)"/g)) {
      expect(file).toMatch(/^\/docs\//);
      expect((await api.call('GET', file ?? '')).status, file).toBe(200);
    }
    for (const file of ['..%2f..%2fpackage.json', 'package.json', '.', '__proto__']) expect((await api.call('GET', `/docs/${file}`)).status).toBe(404);
  });

  test('every kind of document has a JSON Schema that accepts what the API accepts', async () => {
    const { items } = (await api.call('GET', '/v1/schemas')).body;
    expect(items.length).toBe(9);
    for (const { path } of items) {
      const answer = await api.call('GET', path);
      expect(answer.headers['content-type']).toBe('application/schema+json');
      expect(new Ajv2020({ strict: false, validateFormats: false }).compile(answer.body)).toBeTypeOf('function');
    }
    expect((await api.call('GET', '/v1/schemas/Polcy')).body).toMatchObject({ code: 'not-found', detail: expect.stringContaining('Policy') });
  });

  test('one schema for files of several kinds: what the examples say it accepts, mistakes it does not', async () => {
    const answer = await api.call('GET', '/v1/schemas/document');
    const check = new Ajv2020({ strict: false, validateFormats: false, allErrors: true }).compile(answer.body);
    const examples = join(import.meta.dirname, '../../../deploy');
    const files = globSync(['examples/*/*.yaml', 'demo/documents/*.yaml'], { cwd: examples });
    let read = 0;
    for (const file of files) {
      const { documents } = loadDocuments([{ name: file, bytes: readFileSync(join(examples, file)) }]);
      for (const { value } of documents) {
        // Ajv reads own properties of ordinary objects.
        const plain: unknown = JSON.parse(JSON.stringify(value));
        const accepted = (await api.call('POST', '/v1/validate', { body: JSON.stringify(value), type: 'application/json' })).body;
        const local = (accepted.violations ?? []).every(({ code }: { code: string }) => code.startsWith('unknown-') && code !== 'unknown-field');
        if (local) expect(check(plain), `${file}: ${JSON.stringify(check.errors)}`).toBe(true);
        read += 1;
      }
    }
    expect(read).toBeGreaterThan(20);
    expect(check({ kind: 'Policy', name: 'p', target: {}, timeout: { requst: '1s' } })).toBe(false);
    expect(check({ kind: 'Service', name: 'p', ports: { http: { port: 'x', protocol: 'http' } } })).toBe(false);
    expect(check({ kind: 'Plicy', name: 'p', target: {} })).toBe(false);
    expect(check({ name: 'p' })).toBe(false);
  });

  test('liveness, readiness and metrics', async () => {
    expect((await api.call('GET', '/livez')).body).toEqual({ status: 'live' });
    expect((await api.call('GET', '/readyz')).body).toMatchObject({ status: 'ready', sidecars: 0 });
    expect((await api.call('GET', '/metrics')).text).toContain('up 1');
    const starting = await startApi({ start: false });
    expect((await starting.call('GET', '/readyz')).body).toMatchObject({ code: 'not-ready', status: 503 });
    expect((await starting.call('GET', '/livez')).status).toBe(200);
    await starting.close();
  });
});
