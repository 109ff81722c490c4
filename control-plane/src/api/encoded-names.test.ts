import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startApi, type ApiFixture, type FixtureAnswer } from './testdata/api-fixture.ts';

/** security.md 5: names are compared literally, after one decoding. No spelling of a name is another document, or gets around a scope. */
describe('names in paths', () => {
  let api: ApiFixture;
  let scoped = '';
  beforeEach(async () => {
    api = await startApi({ operators: {} });
    const admin = api.operators?.tokens.create({ name: 'all', grant: { role: 'editor', scope: null }, ttlMs: 3_600_000, author: 'test' }).text ?? '';
    scoped = api.operators?.tokens.create({ name: 'orders', grant: { role: 'editor', scope: { subjects: ['service/orders'] } }, ttlMs: 3_600_000, author: 'test' }).text ?? '';
    const services = ['orders', 'cart'].map((name) => `kind: Service\nname: ${name}\nports: {http: {port: 1, protocol: http}}\n`).join('---\n');
    expect((await ask('POST', '/v1/apply', admin, services)).status).toBe(200);
  });
  afterEach(() => api.close());

  const ask = (method: 'GET' | 'PUT' | 'POST' | 'DELETE', url: string, token = scoped, body?: string): Promise<FixtureAnswer> => api.call(method, url, { ...(body !== undefined && { body }), headers: { authorization: `Bearer ${token}` } });

  test.each(['/v1/services/orders', '/v1/services/%6frders', '/v1/services/%6Frders'])('%s is orders', async (url) => {
    expect(await ask('GET', url)).toMatchObject({ status: 200, body: { name: 'orders' } });
  });

  test.each([
    '/v1/services/%256frders', '/v1/services/orders%00', '/v1/services/orders%20', '/v1/services/%20orders', '/v1/services/Orders', '/v1/services/orders%2fcart', '/v1/services/orders%2f..%2fcart', '/v1/services/orders%5c..%5ccart',
    '/v1/services/cart%2f..%2forders', '/v1/services/ord%C3%ABrs', '/v1/services/%ff', '/v1/services/orders%', '/v1/services/orders;x=1', '/v1/services/or%0ders',
  ])('%s is nobody', async (url) => {
    const { status, body } = await ask('GET', url);
    expect([400, 403, 404]).toContain(status);
    expect(JSON.stringify(body)).not.toContain('"ports"');
  });

  test.each(['cart', '%63art', '%2563art', 'orders%2f..%2fcart', './cart', '../services/cart', '%2e%2e/services/cart', 'cart%00', 'cart?x=orders', 'cart;orders'])('a scope ends where it ends, for /v1/services/%s too', async (name) => {
    for (const method of ['GET', 'DELETE'] as const) {
      const { status, body } = await ask(method, `/v1/services/${name}`);
      expect([400, 403, 404, 405]).toContain(status);
      expect(JSON.stringify(body)).not.toContain('"ports"');
    }
    expect((await ask('PUT', `/v1/services/${name}`, scoped, 'kind: Service\nname: cart\nports: {http: {port: 2, protocol: http}}\n')).status).toBeGreaterThanOrEqual(400);
  });
});
