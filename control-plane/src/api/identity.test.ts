import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { orders, startIdentity, tokenFor, Workload, type IdentityFixture } from '../identity/testdata/identity-fixture.ts';
import { startApi, type ApiFixture } from './testdata/api-fixture.ts';

describe('identity over the API', () => {
  let it: IdentityFixture;
  let api: ApiFixture;
  beforeEach(async () => {
    it = startIdentity();
    api = await startApi({ identity: it.identity });
    await api.apply('kind: Service\nname: orders\nports: {http: {port: 1, protocol: http}}\n');
  });
  afterEach(async () => {
    await api.close();
    it.identity.close();
  });

  test('a token is shown once, listed without its secret, and revoked', async () => {
    const made = await api.call('POST', '/v1/identity/tokens', { body: { service: 'orders', ttl: '30m', uses: 3 } });
    expect(made).toMatchObject({ status: 201, headers: { 'cache-control': 'no-store' }, body: { token: expect.stringMatching(/^rmj1\..*\.remora\.local$/), status: { subject: 'service/orders', uses: 3, used: 0, state: 'good' } } });
    const { token, status } = made.body;
    expect(Date.parse(status.expiresAt) - Date.parse(status.createdAt)).toBe(1_800_000);
    const list = await api.call('GET', '/v1/identity/tokens');
    expect(list.body).toEqual({ items: [status], next: null, total: 1 });
    expect(list.text).not.toContain(token.split('.')[2]);
    expect((await api.call('DELETE', `/v1/identity/tokens/${status.id}`)).body).toMatchObject({ id: status.id, state: 'revoked' });
    expect((await api.call('DELETE', '/v1/identity/tokens/nothing')).body).toMatchObject({ code: 'not-found', status: 404 });
  });

  test('pages', async () => {
    for (let n = 0; n < 5; n++) await api.call('POST', '/v1/identity/tokens', { body: { service: 'orders' } });
    const seen: string[] = [];
    for (let after: string | null = ''; after !== null;) {
      const { body } = await api.call('GET', `/v1/identity/tokens?limit=2${after === '' ? '' : `&after=${after}`}`);
      seen.push(...body.items.map(({ id }: { id: string }) => id));
      after = body.next;
    }
    expect(new Set(seen).size).toBe(5);
  });

  test.each<[object | string, string]>([
    [{}, 'exactly one of service and gateway'],
    [{ service: 'orders', gateway: 'x' }, 'exactly one of service and gateway'],
    [{ service: 'ordres' }, 'there is no service ordres'],
    [{ service: 'orders', ttl: '10s' }, 'expected a duration from 1m to 30d'],
    [{ service: 'orders', ttl: '31d' }, 'expected a duration from 1m to 30d'],
    [{ service: 'orders', uses: 0 }, 'expected a whole number from 1 to 1000'],
    [{ service: 'orders', uses: 1.5 }, 'expected a whole number from 1 to 1000'],
    [{ service: 'orders', user: 2 }, 'there is no field user'],
    ['[]', ''],
  ])('%j is refused', async (body, detail) => {
    const answer = await api.call('POST', '/v1/identity/tokens', { body, type: 'application/json' });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.body.detail).toContain(detail);
  });

  test('the authority is shown without its key', async () => {
    const answer = await api.call('GET', '/v1/identity/ca');
    const { fingerprint256 } = it.identity.keeper.authority.issuer;
    expect(answer.body).toMatchObject({ trustDomain: 'remora.local', source: 'generated', encrypted: false, problem: null, nodes: 0, roots: [{ fingerprint: fingerprint256, pem: expect.stringContaining('BEGIN CERTIFICATE') }] });
    expect(answer.text).not.toContain('PRIVATE');
    expect((await api.call('GET', '/v1/identity/certificates')).body).toEqual({ items: [], next: null, total: 0 });
  });

  test('the authority rolls by stages; one that would cut somebody off is refused, and says so', async () => {
    expect((await api.call('GET', '/v1/identity/ca/rotation')).body).toMatchObject({ stage: 'none', startedAt: null });
    expect((await api.call('POST', '/v1/identity/ca/rotation', { body: { action: 'next' } })).body).toMatchObject({ status: 409, code: 'rotation-stage' });
    const workload = new Workload(orders, 'orders-7');
    await workload.join(it, tokenFor(it, orders));
    expect((await api.call('POST', '/v1/identity/ca/rotation', { body: { action: 'start', window: '30s' } })).body).toMatchObject({ stage: 'add', window: '30s', total: 1, holdBundle: 0 });
    expect((await api.call('POST', '/v1/identity/ca/rotation', { body: { action: 'next' } })).body).toMatchObject({ status: 409, code: 'rotation-unsafe', detail: expect.stringContaining('0 of 1 instances hold the new root; missing: orders-7 (not connected)') });
    expect((await api.call('POST', '/v1/identity/ca/rotation', { body: { action: 'abort' } })).body).toMatchObject({ stage: 'none', ofSigner: 1 });
    expect((await api.call('POST', '/v1/identity/ca/rotation', { body: { action: 'go' } })).body).toMatchObject({ status: 400 });
    expect((await api.call('POST', '/v1/identity/ca/rotation', { body: { action: 'start', window: '2d' } })).body).toMatchObject({ status: 400 });
  });

  test('an instance is revoked, with a reason, and let in again', async () => {
    const workload = new Workload(orders, 'orders-8');
    await workload.join(it, tokenFor(it, orders));
    const made = await api.call('POST', '/v1/identity/revocations', { body: { nodeId: 'orders-8', reason: 'the disk was stolen' } });
    expect(made).toMatchObject({ status: 201, body: { subject: 'service/orders', nodeId: 'orders-8', reason: 'the disk was stolen' } });
    expect(await workload.renew(it)).toMatchObject({ code: 'certificate-revoked' });
    const { id } = made.body as { id: string };
    expect((await api.call('GET', '/v1/identity/revocations')).body).toMatchObject({ total: 1, items: [{ id }] });
    expect((await api.call('DELETE', `/v1/identity/revocations/${id}`)).body).toMatchObject({ id });
    expect(await workload.renew(it)).toMatchObject({ kind: 'issued' });
    expect((await api.call('DELETE', `/v1/identity/revocations/${id}`)).body).toMatchObject({ status: 404 });
  });

  test.each([[{ reason: 'x' }, 400], [{ nodeId: 'a', service: 'b', reason: 'x' }, 400], [{ nodeId: 'nobody', reason: 'x' }, 404], [{ nodeId: 'orders-8' }, 400], [{ service: 'orders', reason: '' }, 400]])('revoking %j is refused', async (body, status) => {
    expect((await api.call('POST', '/v1/identity/revocations', { body })).body).toMatchObject({ status });
  });

  test('without identity every path says so', async () => {
    const without = await startApi();
    for (const [method, path] of [['GET', 'tokens'], ['POST', 'tokens'], ['DELETE', 'tokens/x'], ['GET', 'ca'], ['GET', 'certificates'], ['GET', 'ca/rotation'], ['GET', 'revocations'], ['DELETE', 'revocations/x']] as const) {
      const answer = await without.call(method, `/v1/identity/${path}`, method === 'POST' ? { body: { service: 'x' } } : {});
      expect(answer.body, path).toMatchObject({ status: 409, code: 'identity-off', detail: expect.stringContaining('--identity mtls') });
    }
    await without.close();
  });
});
