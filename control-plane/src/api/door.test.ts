import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@remora/core/clock';
import { ManualTimers } from '@remora/testing/manual-timers';
import { TestAuthority } from '@remora/testing/test-authority';
import type { TestCertificate } from '@remora/testing/test-authority';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { certificateFromFiles } from '../operators/api-certificate.ts';
import type { RoleGrant } from '../operators/principal.ts';
import { createProcessLog } from '../process-log.ts';
import { startApi } from './testdata/api-fixture.ts';
import type { ApiFixture, FixtureAnswer } from './testdata/api-fixture.ts';
import { createApiServer } from './server.ts';
import type { ApiServer } from './server.ts';

const service = (name: string, more = ''): string => `kind: Service\nname: ${name}\nports: {http: {port: 1, protocol: http}}\n${more}`;
const policy = (name: string, target: string, ms = 1): string => `kind: Policy\nname: ${name}\ntarget: ${target}\ntimeout: {request: ${ms}s}\n`;

describe('the door of the API', () => {
  let api: ApiFixture;
  let editor: string;
  let scoped: string;
  beforeEach(async () => {
    api = await startApi({ operators: {} });
    editor = make('all', { role: 'editor', scope: null });
    scoped = make('orders', { role: 'editor', scope: { subjects: ['service/orders'] } });
    await apply(editor, [service('orders'), service('cart'), policy('orders-timeout', '{service: orders}'), policy('cart-timeout', '{service: cart}')].join('---\n'), '?owner=team');
  });
  afterEach(() => api.close());

  const make = (name: string, grant: RoleGrant): string => api.operators?.tokens.create({ name, grant, ttlMs: 3_600_000, author: 'test' }).text ?? '';
  const call = (token: string, method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, body?: string | object, headers: Readonly<Record<string, string>> = {}): Promise<FixtureAnswer> =>
    api.call(method, url, { ...(body === undefined ? {} : { body }), headers: { authorization: `Bearer ${token}`, ...headers } });
  const apply = (token: string, yaml: string, query = ''): Promise<FixtureAnswer> => call(token, 'POST', `/v1/apply${query}`, yaml);

  test('401 says how to ask, 403 what is missing', async () => {
    const nobody = await api.call('GET', '/v1/services');
    expect(nobody).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer realm="remora"' }, body: { code: 'unauthenticated', reason: 'missing' } });
    const wrong = await call('rma1.x', 'GET', '/v1/services');
    expect(wrong).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer realm="remora", error="invalid_token"' } });
    expect(await call(editor, 'GET', '/v1/api-tokens')).toMatchObject({ status: 403, body: { code: 'forbidden', needs: 'admin', role: 'editor' } });
    for (const url of ['/v1/none', '/v1/apply']) expect((await api.call('GET', url)).status).toBe(401);
    expect((await call(editor, 'GET', '/v1/none')).status).toBe(404);
  });

  test('who has to wait is told how long', async () => {
    for (let n = 0; n < 11; n++) await call(`rma1.${'a'.repeat(12)}.${'A'.repeat(43)}.00000000`, 'GET', '/v1/services');
    const locked = await call('nothing', 'GET', '/v1/services');
    expect(locked).toMatchObject({ status: 429, headers: { 'retry-after': '1' }, body: { code: 'too-many-failures' } });
    expect((await call(editor, 'GET', '/v1/services')).status).toBe(200);
  });

  test('the author is who was proven, whatever the request says', async () => {
    await apply(editor, service('orders', 'labels: {a: b}\n'), '?message=x');
    const answer = await call(editor, 'PUT', '/v1/services/cart', service('cart', 'labels: {a: b}\n'), { 'x-remora-author': 'mallory' });
    expect(answer.body.revision.author).toBe('token:all');
  });

  test('a body is not read before the door', async () => {
    const answer = await api.call('POST', '/v1/apply', { body: 'x'.repeat(70 * 1024 * 1024) });
    expect(answer.status).toBe(401);
  });

  test.each<[string, string]>([
    ['another\'s document', policy('cart-timeout', '{service: cart}', 9)],
    ['another\'s document, unchanged', policy('cart-timeout', '{service: cart}')],
    ['another\'s document, taken for one\'s own service', policy('cart-timeout', '{service: orders}')],
    ['one\'s own, given to another service', policy('orders-timeout', '{service: cart}')],
    ['one\'s own, for everything', policy('orders-timeout', '{}')],
    ['a new one for a selector', policy('new', '{services: {labels: {a: b}}}')],
    ['a new one for all gateways', policy('new', '{gateways: all}')],
    ['a mesh', 'kind: Mesh\nname: mesh\n'],
    ['a route of another service', 'kind: Route\nname: r\nservice: cart\nto: [{}]\n'],
    ['one that is allowed and one that is not', `${service('orders', 'labels: {a: b}\n')}---\n${service('cart', 'labels: {a: b}\n')}`],
  ])('a scoped editor may not apply %s', async (_what, yaml) => {
    const before = api.controlPlane.store.head();
    for (const query of ['', '?dryRun']) expect(await apply(scoped, yaml, query)).toMatchObject({ status: 403, body: { code: 'forbidden', right: 'write', needs: 'editor' } });
    expect(api.controlPlane.store.head()).toEqual(before);
  });

  test('a scoped editor may apply, change and delete what is its own, whoever it is from', async () => {
    expect((await apply(scoped, `${service('orders', 'labels: {a: b}\n')}---\n${policy('from-cart', '{service: orders}\nfrom: {service: cart}', 3)}`)).status).toBe(200);
    expect((await call(scoped, 'DELETE', '/v1/policies/from-cart')).status).toBe(200);
    expect((await call(scoped, 'DELETE', '/v1/policies/cart-timeout')).status).toBe(403);
  });

  test('prune, revert and restore-to need rights for everything that they would change, and name nothing outside', async () => {
    expect(await apply(scoped, service('orders', 'labels: {a: b}\n'), '?prune=team')).toMatchObject({ status: 403, body: { detail: expect.not.stringContaining('cart') } });
    const both = await apply(editor, [policy('orders-timeout', '{service: orders}', 5), policy('cart-timeout', '{service: cart}', 5)].join('---\n'));
    const own = await apply(scoped, policy('orders-timeout', '{service: orders}', 7));
    const [mixed, mine] = [both.body.revision.revision, own.body.revision.revision];
    expect(await call(scoped, 'POST', `/v1/revisions/${mine}/revert`)).toMatchObject({ status: 200 });
    expect(await call(scoped, 'POST', `/v1/revisions/${mixed}/revert`)).toMatchObject({ status: 403, body: { detail: expect.not.stringContaining('cart') } });
    expect(await call(scoped, 'POST', `/v1/restore-to/${mixed - 1}`)).toMatchObject({ status: 403 });
    expect(await call(scoped, 'POST', `/v1/restore-to/${mixed}`)).toMatchObject({ status: 200 });
    expect((await call(scoped, 'GET', `/v1/revisions/${mixed}`)).body.documents.map(({ document }: { document: string }) => document)).toEqual(['Policy/orders-timeout']);
    expect((await call(scoped, 'GET', '/v1/revisions?limit=2')).body.items).toHaveLength(2);
  });

  test('an idempotency key answers only whoever used it', async () => {
    const headers = { 'idempotency-key': 'k' };
    const other = make('other', { role: 'editor', scope: null });
    expect((await call(editor, 'POST', '/v1/apply', service('new'), headers)).body.outcome).toBe('committed');
    expect((await call(editor, 'POST', '/v1/apply', service('new'), headers)).body.outcome).toBe('repeated');
    expect((await call(other, 'POST', '/v1/apply', service('new'), headers)).body).toMatchObject({ code: 'idempotency-key-reused' });
  });

  test('what was done is in the audit log before it is answered, with who did it; refusals too, without an answer waiting for them', async () => {
    await apply(scoped, service('orders', 'labels: {z: z}\n'));
    const admin = make('root', { role: 'admin', scope: null });
    await call(admin, 'POST', '/v1/api-tokens', { name: 'x', role: 'viewer' });
    const { body } = await call(admin, 'GET', '/v1/audit?limit=2');
    expect(body.items).toMatchObject([{ action: 'createApiToken', actor: { name: 'root' }, what: { name: 'x', role: 'viewer' } }, { action: 'documents.write', actor: { kind: 'token', name: 'orders' }, what: { documents: [{ document: 'Service/orders', action: 'updated' }] } }]);
    expect(body.next).toBe(body.items[1].seq);
    expect(JSON.stringify(body)).not.toContain('rma1.');
  });
});

describe('streams and certificates', () => {
  let folder: string;
  let api: ApiFixture;
  const servers: ApiServer[] = [];
  const timers = new ManualTimers();
  const authority = new TestAuthority();
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'remora-door-'));
    api = await startApi({ operators: {} });
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close();
    await api.close();
    rmSync(folder, { recursive: true });
  });
  const put = ({ cert, key }: TestCertificate): { certificate: string; key: string } => {
    writeFileSync(join(folder, 'c.pem'), cert);
    writeFileSync(join(folder, 'k.pem'), key);
    return { certificate: join(folder, 'c.pem'), key: join(folder, 'k.pem') };
  };
  const logged: string[] = [];
  const log = createProcessLog({ level: 'info', clock: systemClock, write: (line) => void logged.push(line) });

  async function listen(first: TestCertificate): Promise<number> {
    const gate = api.operators?.gate;
    if (!gate) throw new Error('the fixture has operators');
    const certificate = certificateFromFiles(put(first), { clock: systemClock, timers, log });
    const server = createApiServer({ routes: api.routes, gate, audit: api.controlPlane.audit, certificate, alarm: () => {} });
    servers.push(server);
    return server.listen({ host: '0.0.0.0', port: 0 });
  }
  const seen = async (port: number, path = '/livez', token = ''): Promise<{ readonly name: string; readonly status: number }> => {
    const asked = request({ host: '127.0.0.1', port, path, ca: authority.cert, servername: 'api.example', agent: false, headers: token === '' ? {} : { authorization: `Bearer ${token}` } });
    asked.end();
    const [response] = (await once(asked, 'response')) as [import('node:http').IncomingMessage];
    const name = (response.socket as import('node:tls').TLSSocket).getPeerCertificate().subject.CN;
    response.resume();
    await once(response, 'end');
    return { name: String(name), status: response.statusCode ?? 0 };
  };
  const issue = (commonName: string): TestCertificate => authority.issue({ commonName, dns: ['api.example'] });

  test('elsewhere than on loopback with TLS and tokens; a new certificate is shown without a restart, a bad one is not', async () => {
    const port = await listen(issue('one'));
    expect(await seen(port)).toEqual({ name: 'one', status: 200 });
    expect((await seen(port, '/v1/services')).status).toBe(401);
    put(issue('two'));
    await timers.advance(30_000);
    expect((await seen(port)).name).toBe('two');
    for (const bad of [{ ...issue('three'), key: issue('four').key }, authority.issue({ commonName: 'ended', dns: ['api.example'], validFrom: new Date(0), validTo: new Date(1) }), { cert: 'nothing', key: 'nothing' }]) {
      put(bad);
      await timers.advance(30_000);
      expect((await seen(port)).name).toBe('two');
    }
    expect(logged.join('')).toContain('it is not the key of the first certificate');
    expect(logged.join('')).not.toContain('PRIVATE KEY');
  });

  test('without TLS, or without tokens, it does not listen there', async () => {
    await expect(api.server.listen({ host: '0.0.0.0', port: 0 })).rejects.toThrow('TLS (--api-cert-file');
    const open = await startApi();
    await expect(open.server.listen({ host: '0.0.0.0', port: 0 })).rejects.toThrow('tokens (--api-auth tokens) and TLS');
    await open.close();
  });

  test('a stream of events ends when the token that opened it is revoked, at the next event', async () => {
    const tokens = api.operators?.tokens;
    if (!tokens) throw new Error('the fixture has operators');
    const { text, status } = tokens.create({ name: 'watcher', grant: { role: 'viewer', scope: null }, ttlMs: 60_000, author: 'test' });
    const port = await api.server.listen({ host: '127.0.0.1', port: 0 });
    const response = await fetch(`http://127.0.0.1:${port}/v1/events`, { headers: { authorization: `Bearer ${text}` } });
    expect(response.status).toBe(200);
    const reader = response.body?.getReader();
    await reader?.read();
    tokens.revoke(status.id);
    api.controlPlane.events.publish('revision', { detail: 'after it' });
    let rest = '';
    for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) rest += new TextDecoder().decode(read.value);
    expect(rest).not.toContain('after it');
    expect((await fetch(`http://127.0.0.1:${port}/v1/events`, { headers: { authorization: `Bearer ${text}` } })).status).toBe(401);
    expect((await fetch(`http://127.0.0.1:${port}/v1/events?access_token=${text}`)).status).toBe(401);
  });
});
