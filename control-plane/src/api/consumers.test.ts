import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startApi } from './testdata/api-fixture.ts';
import type { ApiFixture } from './testdata/api-fixture.ts';

let api: ApiFixture;
beforeEach(async () => {
  api = await startApi();
  await api.apply('kind: Consumer\nname: app\n---\nkind: Consumer\nname: other\n');
});
afterEach(async () => {
  await api.close();
});

const make = async (kind: string, body: object = {}, name = 'app'): Promise<Awaited<ReturnType<ApiFixture['call']>>> => api.call('POST', `/v1/consumers/${name}/credentials/${kind}`, { body });

describe('credentials of consumers', () => {
  test('an API key is shown once, and listed by its first characters', async () => {
    const made = await make('apiKey', { ttl: '90d' });
    expect(made.status).toBe(201);
    expect(made.headers['cache-control']).toBe('no-store');
    const { secret, credential } = made.body;
    expect(secret).toMatch(/^rk_[a-z0-9]{8}_[A-Za-z0-9_-]{32}$/);
    const list = await api.call('GET', '/v1/consumers/app/credentials');
    expect(list.body).toMatchObject({ total: 1, items: [{ id: credential.id, kind: 'apiKey', state: 'good', known: `${secret.slice(0, 11)}…` }] });
    expect(list.text).not.toContain(secret.slice(12));
  });

  test('a key takes the place of another one, which lives on for the overlap', async () => {
    const first = (await make('apiKey')).body.credential;
    const second = (await make('apiKey', { replaces: first.id, overlap: '1h' })).body;
    expect(Date.parse(second.replaces.expiresAt) - Date.now()).toBeLessThanOrEqual(3_600_000);
    expect((await make('basic', { replaces: first.id })).body).toMatchObject({ code: 'bad-parameter' });
    expect((await make('apiKey', { replaces: first.id }, 'other')).body).toMatchObject({ code: 'not-found' });
    expect((await api.call('PUT', `/v1/consumers/app/credentials/${first.id}/expiry`, { body: { in: null } })).body).toMatchObject({ expiresAt: null });
  });

  test.each([
    ['apiKey', { value: 'short' }, '/value'],
    ['apiKey', { value: 'with spaces and more of them' }, '/value'],
    ['basic', { user: 'a:b' }, '/user'],
    ['basic', { value: 'short' }, '/value'],
    ['hmac', { algorithm: 'none' }, '/algorithm'],
    ['hmac', { algorithm: 'ed25519' }, '/algorithm'],
    ['hmac', { value: 'x'.repeat(31) }, '/value'],
    ['hmac', { publicKey: 'nonsense' }, '/publicKey'],
    ['jwt', { value: 'x'.repeat(32) }, '/issuer'],
    ['jwt', { issuer: 'me', algorithm: 'HS512', value: 'x'.repeat(63) }, '/value'],
    ['jwt', { issuer: 'me', algorithm: 'none' }, '/algorithm'],
    ['jwt', { issuer: 'me', publicKey: generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'pem' }) }, '/algorithm'],
    ['jwt', { issuer: 'me', publicKey: generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) }, '/publicKey'],
    ['jwt', { issuer: 'me', algorithm: 'HS256', publicKey: generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }) }, '/algorithm'],
    ['certificate', {}, '/match'],
    ['certificate', { match: 'fingerprint', value: 'abc' }, '/value'],
    ['certificate', { certificate: 'nonsense' }, '/certificate'],
  ])('%s %j is refused at %s, without a word of it', async (kind, body, pointer) => {
    const refused = await make(kind, body);
    expect(refused.body).toMatchObject({ status: 400, code: 'bad-parameter', violations: [{ pointer }] });
    for (const [name, value] of Object.entries(body)) if (['value', 'publicKey'].includes(name)) expect(refused.text).not.toContain(value);
  });

  test('what is known by the same is one credential only', async () => {
    for (const [kind, body] of [['apiKey', { value: 'a-key-from-elsewhere' }], ['basic', { user: 'u' }], ['hmac', { keyId: 'k' }], ['jwt', { issuer: 'me', keyId: 'k' }], ['certificate', { match: 'dns', value: 'A.example' }]] as const) {
      expect((await make(kind, body)).status).toBe(201);
      const again = await make(kind, body, 'other');
      expect(again.body).toMatchObject({ status: 409, code: 'credential-taken' });
      expect(again.text).not.toContain('elsewhere');
    }
    expect((await make('jwt', { issuer: 'other', keyId: 'k' })).status).toBe(201);
  });

  test('a consumer that comes back has none of the credentials it had', async () => {
    await make('apiKey');
    const revision = (await api.call('DELETE', '/v1/consumers/app')).body.revision.version.index;
    expect(api.controlPlane.credentials.size).toBe(0);
    expect((await api.call('POST', `/v1/revisions/${revision}/revert`)).status).toBe(200);
    expect((await api.call('GET', '/v1/consumers/app/credentials')).body).toMatchObject({ total: 0 });
    expect((await make('apiKey', {}, 'nobody')).body).toMatchObject({ code: 'not-found' });
  });

  test('what is revoked is gone, and has a bound', async () => {
    const { id } = (await make('hmac')).body.credential;
    expect((await api.call('DELETE', `/v1/consumers/other/credentials/${id}`)).body).toMatchObject({ code: 'not-found' });
    expect((await api.call('DELETE', `/v1/consumers/app/credentials/${id}`)).body).toMatchObject({ id });
    for (let made = 0; made < 64; made++) expect((await make('certificate', { match: 'dns', value: `a${made}.example` })).status).toBe(201);
    expect((await make('apiKey')).body).toMatchObject({ status: 409, code: 'too-many-credentials' });
  });
});

describe('secrets', () => {
  test('are written and never read back, whatever is asked', async () => {
    const planted = 'planted-secret-3f9a';
    const set = await api.call('PUT', '/v1/secrets/api-cert', { body: { value: planted } });
    expect(set.body).toMatchObject({ name: 'api-cert', state: 'good', bytes: planted.length, source: 'literal' });
    const again = await api.call('PUT', '/v1/secrets/api-cert', { body: { base64: Buffer.from(planted).toString('base64') } });
    expect(again.body.version).toBe(set.body.version);
    const answers = [set, again, ...await Promise.all(['/v1/secrets', '/v1/secrets/api-cert', '/v1/revisions', '/metrics'].map(async (path) => api.call('GET', path)))];
    for (const { text } of answers) expect(text).not.toContain(planted);
    expect((await api.call('PUT', '/v1/secrets/api-cert', { body: { value: 'other' } })).body.version).not.toBe(set.body.version);
  });

  test('one that documents name is not deleted, and one that is missing is listed', async () => {
    await api.apply('kind: Gateway\nname: edge\nlisteners: {https: {port: 443, protocol: https, tls: {certificates: [{secret: api-cert}]}}}\n');
    expect((await api.call('GET', '/v1/secrets')).body).toMatchObject({ items: [{ name: 'api-cert', state: 'missing', usedBy: ['gateway/edge'], referredBy: ['Gateway/edge'] }] });
    await api.call('PUT', '/v1/secrets/api-cert', { body: { value: 'x' } });
    expect((await api.call('DELETE', '/v1/secrets/api-cert')).body).toMatchObject({ code: 'referred', referrers: [{ from: 'Gateway/edge', pointer: '/listeners/https/tls/certificates/0/secret' }] });
    await api.call('DELETE', '/v1/gateways/edge');
    expect((await api.call('DELETE', '/v1/secrets/api-cert')).status).toBe(200);
    expect((await api.call('GET', '/v1/secrets/api-cert')).body).toMatchObject({ code: 'not-found' });
  });

  test.each([
    [{}, 'bad-parameter'],
    [{ value: 'a', base64: 'YQ==' }, 'bad-parameter'],
    [{ value: '' }, 'bad-parameter'],
    [{ value: 5 }, 'bad-parameter'],
    [{ file: '../etc/passwd' }, 'bad-parameter'],
    [{ file: 'x' }, 'secret-source-failed'],
    [{ environment: 'PATH' }, 'bad-parameter'],
    [{ environment: 'REMORA_SECRET_X' }, 'secret-source-failed'],
    [{ vault: { path: '../x', field: 'f' } }, 'secret-source-failed'],
    [{ vault: { path: 'x' } }, 'bad-parameter'],
  ])('%j is refused', async (body, code) => {
    expect((await api.call('PUT', '/v1/secrets/x', { body })).body).toMatchObject({ code });
    expect((await api.call('PUT', '/v1/secrets/a%2Fb', { body: { value: 'x' } })).body).toMatchObject({ code: 'bad-parameter' });
  });
});
