import { createHash } from 'node:crypto';
import { systemClock } from '@remora/core/clock';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startApi } from '../api/testdata/api-fixture.ts';
import type { ApiFixture } from '../api/testdata/api-fixture.ts';
import { createSealer } from '../identity/sealer.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import type { Store } from '../store/store.ts';
import { CredentialBook } from '../consumers/credential-book.ts';
import { SecretBook } from './secret-book.ts';

/** Looked for as they are, and as base64, hexadecimal, a part of base64, and percent encoding would show them. */
const planted = ['planted-secret-of-a-gateway-7c1f', 'planted-api-key-of-a-consumer-91b2', 'planted-password-of-a-consumer-55e0', 'planted-shared-key-of-a-consumer-2d84-planted'] as const;
const [gatewaySecret, apiKey, password, sharedKey] = planted;

function traces(text: string): string[] {
  const lower = text.toLowerCase();
  return planted.filter((secret) => {
    const bytes = Buffer.from(secret);
    const forms = [secret, bytes.toString('hex'), createHash('sha256').update(secret).digest('hex'), ...[0, 1, 2].map((skip) => bytes.subarray(skip).toString('base64').slice(0, 24))];
    return forms.some((form) => lower.includes(form.toLowerCase()));
  });
}

let store: Store;
let api: ApiFixture;
beforeEach(async () => {
  store = createMemoryStore({ clock: systemClock });
  api = await startApi({ store });
});
afterEach(async () => {
  await api.close();
});

const mesh = `
kind: Gateway
name: edge
listeners: {https: {port: 443, protocol: https, tls: {certificates: [{secret: api-cert}]}}}
---
kind: Service
name: orders
ports: {http: {port: 80}}
---
kind: Route
name: r
gateway: edge
to: [{service: orders}]
---
kind: Consumer
name: app
---
kind: Policy
name: p
target: {gateway: edge}
apiKey: {enabled: true}
basicAuth: {enabled: true}
hmac: {enabled: true}
`;

/** Everything that is asked of a path with names that exist. */
const samples: Readonly<Record<string, string>> = { name: 'app', kind: 'Policy', n: '1', id: 'x', plural: 'policies' };

test('nothing that a control plane answers, alarms, keeps or explains shows a secret that it was given', async () => {
  await api.apply(mesh);
  const answers: string[] = [];
  const call = async (...args: Parameters<ApiFixture['call']>): Promise<string> => {
    const { text, headers } = await api.call(...args);
    answers.push(`${args[0]} ${args[1]}\n${JSON.stringify(headers)}\n${text}`);
    return text;
  };
  await call('PUT', '/v1/secrets/api-cert', { body: { value: gatewaySecret } });
  await call('PUT', '/v1/secrets/api-cert', { body: { value: gatewaySecret, file: 'x' } });
  await call('PUT', '/v1/secrets/api-cert', { body: `{"value": "${gatewaySecret}`, type: 'application/json' });
  await call('PUT', '/v1/secrets/api%2Fcert', { body: { value: gatewaySecret } });
  await call('PUT', '/v1/secrets/api-cert', { body: { valu: gatewaySecret } });
  await call('POST', '/v1/apply', { body: `kind: Secret\nname: s\nvalue: ${gatewaySecret}\n` });
  await call('PUT', '/v1/consumers/app', { body: `kind: Consumer\nname: app\ncredentials: {apiKeys: [{key: ${apiKey}}]}\n` });
  const credentials = (kind: string): string => `/v1/consumers/app/credentials/${kind}`;
  for (const [kind, value] of [['apiKey', apiKey], ['basic', password], ['hmac', sharedKey]] as const) {
    expect(JSON.parse(await call('POST', credentials(kind), { body: { value } }))).toMatchObject({ secret: null });
    await call('POST', credentials(kind), { body: { value, ttl: 'for ever' } });
    await call('POST', credentials(kind), { body: { value: `${value}\n` } });
  }
  await call('POST', credentials('apiKey'), { body: { value: apiKey } });
  for (const route of api.routes) {
    if (route.method !== 'GET' || route.path === '/v1/events') continue;
    for (const name of ['app', 'edge', 'orders', 'api-cert', 'p']) await call('GET', route.path.replaceAll(/\{(\w+)\}/g, (_, key: string) => (key === 'name' ? name : samples[key] ?? 'x')));
  }
  await call('GET', '/v1/explain?gateway=edge');
  await call('POST', '/v1/secrets-rekey');
  await call('DELETE', '/v1/secrets/api-cert');
  expect(answers.length).toBeGreaterThan(100);
  expect(answers.filter((text) => traces(text).length > 0).map((text) => text)).toEqual([]);
  expect(traces(JSON.stringify(api.alarms.map(String)))).toEqual([]);
  const written = JSON.stringify([store.entries({ limit: 100 }), [...store.documents().values()]]);
  expect(traces(written)).toEqual([]);
});

test('what is kept with an encryption key shows nothing either', async () => {
  const sealer = createSealer(Buffer.from(Array.from({ length: 32 }, (_, i) => i)));
  new SecretBook({ store, sealer, clock: systemClock }).set({ name: 'a', source: { kind: 'literal' }, value: Buffer.from(gatewaySecret), author: '' });
  const book = new CredentialBook({ store, sealer, clock: systemClock });
  const { makeCredential } = await import('../consumers/make-credential.ts');
  for (const [kind, value] of [['apiKey', apiKey], ['basic', password], ['hmac', sharedKey]] as const) {
    book.add((await makeCredential(kind, { consumer: 'app', author: '', nowMs: 1, expiresMs: null, value }, { book, sealer })).credential);
  }
  const kept = JSON.stringify([...store.records('secrets'), ...store.records('consumers.credentials'), ...store.records('consumers.key')]);
  expect(kept.length).toBeGreaterThan(500);
  expect(traces(kept)).toEqual([]);
});
