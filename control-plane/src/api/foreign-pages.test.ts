import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi } from './testdata/api-fixture.ts';
import type { ApiFixture } from './testdata/api-fixture.ts';

const service = 'kind: Service\nname: a\nports: {http: {port: 8080, protocol: http}}\n';

/** Everybody on this machine may write; a page that somebody on it looks at may not. */
describe('pages of other sites', () => {
  let api: ApiFixture;
  beforeAll(async () => {
    api = await startApi();
    await api.apply(service);
  });
  afterAll(() => api.close());

  test.each([
    ['a request without a body, from a page', 'POST', '/v1/restore-to/0', { origin: 'https://evil.example' }, 'foreign-origin'],
    ['from a page without an origin of its own', 'POST', '/v1/restore-to/0', { origin: 'null' }, 'foreign-origin'],
    ['from a page, told by the browser', 'POST', '/v1/restore-to/0', { 'sec-fetch-site': 'cross-site' }, 'foreign-origin'],
    ['from a page on another port', 'POST', '/v1/restore-to/0', { host: 'localhost:8600', origin: 'http://localhost:3000' }, 'foreign-origin'],
    ['reading, by a name that leads here', 'GET', '/v1/services', { host: 'evil.example:8600' }, 'foreign-host'],
    ['a name that looks like an address', 'GET', '/v1/services', { host: '127.0.0.1.evil.example' }, 'foreign-host'],
  ] as const)('%s', async (_name, method, url, headers, code) => {
    expect((await api.call(method, url, { headers })).body).toMatchObject({ code });
    expect((await api.call('GET', '/v1/services/a')).status).toBe(200);
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/plain; x=application/json'])('bodies that a page may send unasked are not read: %s', async (type) => {
    expect((await api.call('POST', '/v1/apply', { body: service, type })).body).toMatchObject({ code: 'unsupported-media-type' });
  });

  test('a body without a type is not read', async () => {
    const answer = await api.server.instance.inject({ method: 'POST', url: '/v1/apply', payload: Buffer.from(service) });
    expect(answer.statusCode).toBe(415);
  });

  test.each([['localhost:8600', undefined], ['127.0.0.1:8600', 'http://127.0.0.1:8600'], ['[::1]:8600', undefined], ['LOCALHOST', undefined]])('%s is us', async (host, origin) => {
    expect((await api.call('GET', '/v1/services', { headers: { host, ...(origin === undefined ? {} : { origin }) } })).status).toBe(200);
  });
});
