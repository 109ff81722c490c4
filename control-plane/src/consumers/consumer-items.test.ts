import type { SubjectKey } from '@remora/core/subject';
import { consumerDirectory } from '@remora/policy-kit/consumer-directory';
import { FactBooks } from '@remora/policy-kit/facts';
import { ManualTimers } from '@remora/testing/manual-timers';
import { beforeEach, describe, expect, test } from 'vitest';
import { startApi } from '../api/testdata/api-fixture.ts';
import type { ApiFixture } from '../api/testdata/api-fixture.ts';
import { createSealer } from '../identity/sealer.ts';
import { createRotatingSealer, createRefusingSealer } from '../identity/rotating-sealer.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { ConsumerItems } from './consumer-items.ts';
import { CredentialBook } from './credential-book.ts';
import { makeCredential } from './make-credential.ts';

const mesh = `
kind: Service
name: orders
ports: {http: {port: 80}}
---
kind: Service
name: signed
ports: {http: {port: 80}}
---
kind: Service
name: open
ports: {http: {port: 80}}
---
kind: Plan
name: gold
limits: {m: {requests: 5, per: 1m}}
---
kind: Consumer
name: app
plan: gold
identities: [{issuer: "https://kc.example", claim: azp, value: app}]
---
kind: Policy
name: keys
target: {service: orders}
apiKey: {enabled: true}
---
kind: Policy
name: signatures
target: {service: signed}
hmac: {enabled: true}
`;

describe('consumers as sidecars get them', () => {
  let api: ApiFixture;
  let items: ConsumerItems;
  let told: (readonly SubjectKey[] | 'all')[];

  beforeEach(async () => {
    api = await startApi();
    items = new ConsumerItems({ book: api.controlPlane.credentials, alarm: (error) => expect(error).toBeNull() });
    told = [];
    items.onChange((subjects) => told.push(subjects));
    expect(items.itemsFor('service/orders')).toBeNull();
    api.controlPlane.writePath.onPlanned((planned) => items.follow(planned));
    await api.apply(mesh);
    await api.call('POST', '/v1/consumers/app/credentials/apiKey', { body: { value: 'a-key-of-the-app-1' } });
    await api.call('POST', '/v1/consumers/app/credentials/hmac', { body: { keyId: 'k', value: 'planted-shared-secret-0123456789abcdef' } });
    return async () => api.close();
  });

  const names = (subject: SubjectKey): string[] => (items.itemsFor(subject) ?? []).map(({ name }) => name.replace(/\d+/, 'n')).sort();

  test('only those that look for consumers get them, with what proves them in their ways', () => {
    expect(names('service/orders')).toEqual(['apiKey.n', 'consumers.n', 'key', 'plans']);
    expect(names('service/signed')).toEqual(['consumers.n', 'hmac.n', 'plans']);
    expect(items.itemsFor('service/open')).toEqual([]);
    expect(items.itemsFor('service/unknown')).toEqual([]);
    const all = Buffer.concat((items.itemsFor('service/orders') ?? []).map(({ body }) => Buffer.from(body))).toString('latin1');
    for (const secret of ['planted-shared-secret', 'a-key-of-the-app-1']) expect(all).not.toContain(secret);
  });

  test('a sidecar recognises what the control plane made', () => {
    const books = new FactBooks();
    const read = (): void => books.apply({ kind: 'consumers', full: true, facts: new Map((items.itemsFor('service/orders') ?? []).map(({ name, body }) => [name, body])) });
    read();
    const directory = consumerDirectory(books.of('consumers'));
    const digest = api.controlPlane.credentials.digestOf('a-key-of-the-app-1');
    expect(directory.byApiKey(digest)?.consumer).toMatchObject({ name: 'app', plan: 'gold' });
    expect(directory.byIdentity('https://kc.example', { azp: 'app' })?.name).toBe('app');
    expect(directory.plan('gold')?.limits).toMatchObject([{ name: 'm', requests: 5, perMs: 60_000 }]);
    const [credential] = api.controlPlane.credentials.of('app').filter(({ kind }) => kind === 'apiKey');
    api.controlPlane.credentials.remove([credential?.id ?? '']);
    read();
    expect(directory.byApiKey(digest)).toBeNull();
  });

  test('the same answer as long as nothing changed; a change of one consumer leaves the parts of others as they are', async () => {
    const before = items.itemsFor('service/orders');
    expect(items.itemsFor('service/orders')).toBe(before);
    await api.apply('kind: Consumer\nname: other\n');
    const after = items.itemsFor('service/orders') ?? [];
    expect(after.length).toBe((before ?? []).length + 1);
    expect((before ?? []).every((item) => after.includes(item))).toBe(true);
    expect(told).toContain('all');
  });

  test('who comes to need them is told alone', async () => {
    told.length = 0;
    await api.apply('kind: Policy\nname: more\ntarget: {service: open}\nbasicAuth: {enabled: true}\n');
    expect(told).toEqual([['service/open']]);
    expect(names('service/open')).toEqual(['consumers.n', 'plans']);
  });
});

test('what is kept is encrypted, opens after a restart, with the key before and after, and with no other', async () => {
  const timers = new ManualTimers();
  const store = createMemoryStore({ clock: timers.clock });
  const [one, two, three] = [createSealer(Buffer.alloc(32, 'a1')), createSealer(Buffer.alloc(32, 'b2')), createSealer(Buffer.alloc(32, 'c3'))];
  const planted = 'planted-shared-secret-0123456789abcdef';
  const book = new CredentialBook({ store, sealer: one, clock: timers.clock });
  const make = { consumer: 'app', author: 'ana', nowMs: 1, expiresMs: null, value: planted };
  for (const kind of ['hmac', 'jwt', 'basic', 'apiKey'] as const) book.add((await makeCredential(kind, { ...make, issuer: 'me' }, { book, sealer: one })).credential);
  const digest = book.digestOf('x');
  const kept = JSON.stringify([...store.records('consumers.credentials'), ...store.records('consumers.key')]);
  for (const text of [planted, Buffer.from(planted).toString('base64'), book.lookupKey().toString('base64')]) expect(kept).not.toContain(text);

  const again = new CredentialBook({ store, sealer: createRotatingSealer(two, [one]), clock: timers.clock });
  const [secret] = again.of('app').filter((credential) => credential.kind === 'hmac');
  if (secret?.kind !== 'hmac') throw new Error('no such credential');
  expect(again.secretOf(secret).toString()).toBe(planted);
  expect(again.digestOf('x')).toBe(digest);
  expect(again.reseal()).toBe(3);
  const [resealed] = again.of('app').filter((credential) => credential.kind === 'hmac');
  if (resealed?.kind !== 'hmac') throw new Error('no such credential');
  const last = new CredentialBook({ store, sealer: two, clock: timers.clock });
  expect(last.secretOf(resealed).toString()).toBe(planted);
  expect(() => new CredentialBook({ store, sealer: three, clock: timers.clock }).digestOf('x')).toThrow('another encryption key');
  expect(() => new CredentialBook({ store: createMemoryStore({ clock: timers.clock }), sealer: createRefusingSealer('no key'), clock: timers.clock }).digestOf('x')).toThrow('no key');
});
