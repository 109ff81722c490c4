import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startApi } from './testdata/api-fixture.ts';
import type { ApiFixture } from './testdata/api-fixture.ts';

const service = (name: string, more = ''): string => `kind: Service\nname: ${name}\nports: {http: {port: 8080, protocol: http}}\n${more}---\n`;

describe('documents', () => {
  let api: ApiFixture;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(() => api.close());

  test('put creates, get answers the document with its ETag, delete removes it', async () => {
    const created = await api.call('PUT', '/v1/services/orders', { body: service('orders') });
    expect(created.body).toMatchObject({ outcome: 'committed', changes: [{ document: 'Service/orders', action: 'created' }] });
    const got = await api.call('GET', '/v1/services/orders');
    expect(got.body).toEqual({ kind: 'Service', name: 'orders', ports: { http: { port: 8080, protocol: 'http' } } });
    expect(got.headers).toMatchObject({ 'x-remora-revision': String(created.body.revision.revision), etag: expect.stringMatching(/^"\d+-[0-9a-f]{8}"$/) });
    const known = await api.call('GET', '/v1/services/orders', { headers: { 'if-none-match': String(got.headers['etag']) } });
    expect([known.status, known.text]).toEqual([304, '']);
    const deleted = await api.call('DELETE', '/v1/services/orders', { headers: { 'if-match': String(got.headers['etag']) } });
    expect(deleted.body.changes).toMatchObject([{ document: 'Service/orders', action: 'deleted' }]);
    expect((await api.call('GET', '/v1/services/orders')).body).toMatchObject({ code: 'not-found', status: 404 });
  });

  test('If-Match refuses what changed since it was read, and says what it is now', async () => {
    await api.apply(service('orders'));
    const etag = String((await api.call('GET', '/v1/services/orders')).headers['etag']);
    await api.apply(service('orders', 'labels: {team: a}\n'));
    const stale = await api.call('PUT', '/v1/services/orders', { body: service('orders', 'labels: {team: b}\n'), headers: { 'if-match': etag } });
    expect(stale.body).toMatchObject({ code: 'etag-mismatch', status: 412, document: 'Service/orders', revision: 2 });
    const fresh = await api.call('PUT', '/v1/services/orders', { body: service('orders', 'labels: {team: b}\n'), headers: { 'if-match': stale.body.etag } });
    expect(fresh.status).toBe(200);
  });

  test('If-None-Match: * only creates; If-Match: * only replaces', async () => {
    expect((await api.call('PUT', '/v1/services/orders', { body: service('orders'), headers: { 'if-match': '*' } })).body).toMatchObject({ code: 'etag-mismatch' });
    expect((await api.call('PUT', '/v1/services/orders', { body: service('orders'), headers: { 'if-none-match': '*' } })).status).toBe(200);
    expect((await api.call('PUT', '/v1/services/orders', { body: service('orders'), headers: { 'if-none-match': '*' } })).body).toMatchObject({ code: 'etag-mismatch' });
    expect((await api.call('PUT', '/v1/services/orders', { body: service('orders'), headers: { 'if-match': '*' } })).body).toMatchObject({ outcome: 'unchanged' });
  });

  test('concurrent writers with If-Match: one wins, the others are told', async () => {
    await api.apply(service('orders'));
    const etag = String((await api.call('GET', '/v1/services/orders')).headers['etag']);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => api.call('PUT', '/v1/services/orders', { body: service('orders', `labels: {writer: w${n}}\n`), headers: { 'if-match': etag } })));
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, ...Array.from({ length: 19 }, () => 412)]);
    expect((await api.call('GET', '/v1/revisions')).body.items).toHaveLength(2);
  });

  test('the path and the document must agree', async () => {
    const answer = await api.call('PUT', '/v1/services/orders', { body: service('payments') });
    expect(answer.body).toMatchObject({ code: 'documents-refused', violations: [{ code: 'name-mismatch', pointer: '/name' }] });
    expect((await api.call('PUT', '/v1/services/orders', { body: service('orders') + service('payments') })).body).toMatchObject({ code: 'bad-request' });
    expect((await api.call('PUT', '/v1/services/orders', { body: '' })).body).toMatchObject({ code: 'bad-request' });
  });

  test('lists are paged by name and filtered', async () => {
    const names = Array.from({ length: 25 }, (_, n) => `s${String(n).padStart(2, '0')}`);
    await api.apply(names.map((name, n) => service(name, `labels: {parity: ${n % 2 === 0 ? 'even' : 'odd'}, n: n${n}}\n`)).join(''), '?owner=team-a');
    await api.apply(service('other'));
    const seen: string[] = [];
    for (let after = ''; ;) {
      const page = (await api.call('GET', `/v1/services?limit=10&owner=team-a${after === '' ? '' : `&after=${after}`}`)).body;
      expect(page.total).toBe(25);
      seen.push(...page.items.map((item: { document: { name: string } }) => item.document.name));
      if (page.next === null) break;
      after = page.next;
    }
    expect(seen).toEqual(names);
    const count = async (query: string): Promise<number> => (await api.call('GET', `/v1/services?${query}`)).body.total;
    expect(await count('label=parity=even')).toBe(13);
    expect(await count('label=parity=even&label=n')).toBe(13);
    expect(await count('label=parity=even,n=n4')).toBe(1);
    expect(await count('label=__proto__')).toBe(0);
    expect(await count('name=s1')).toBe(10);
    expect(await count('owner=nobody')).toBe(0);
    expect((await api.call('GET', '/v1/services?after=zzz')).body).toMatchObject({ items: [], next: null });
  });

  test('names that mean something to JavaScript are looked up like any other', async () => {
    for (const name of ['__proto__', 'constructor', 'toString', '%5F%5Fproto%5F%5F']) {
      expect((await api.call('GET', `/v1/services/${name}`)).body).toMatchObject({ code: 'not-found' });
    }
  });

  test('a misspelt name has a suggestion, a reserved kind its own answer', async () => {
    await api.apply(service('orders'));
    expect((await api.call('GET', '/v1/services/ordres')).body).toMatchObject({ suggestion: 'orders' });
    expect((await api.call('PUT', '/v1/plans/gold', { body: 'kind: Product\nname: gold\n' })).body).toMatchObject({ violations: [{ code: 'not-available' }] });
  });

  test('consumers and plans: a plan that is named stays, identities belong to one consumer, and a prune never takes consumers', async () => {
    const identity = '{issuer: "https://kc.example/realms/shop", claim: azp, value: app}';
    await api.apply(`kind: Plan\nname: gold\nlimits: {m: {requests: 5, per: 1m}}\n---\nkind: Consumer\nname: app\nplan: gold\nidentities: [${identity}]\n---\nkind: Consumer\nname: other\n`, '?owner=clients');
    expect((await api.call('DELETE', '/v1/plans/gold')).body).toMatchObject({ code: 'referred', referrers: [{ from: 'Consumer/app', pointer: '/plan', to: 'Plan/gold' }] });
    expect((await api.call('PUT', '/v1/consumers/other', { body: `kind: Consumer\nname: other\nplan: glod\nidentities: [${identity}]\n` })).body).toMatchObject({
      violations: [{ pointer: '/identities/0', code: 'identity-taken' }, { pointer: '/plan', code: 'unknown-plan', suggestion: 'gold' }],
    });
    await api.apply('kind: Plan\nname: gold\n', '?prune=clients');
    expect((await api.call('GET', '/v1/consumers')).body).toMatchObject({ total: 2 });
  });

  test('a document that others name is not deleted; all referrers are listed', async () => {
    await api.apply(`${service('orders')}${service('web', 'dependsOn: [orders]\n')}kind: Policy\nname: p\ntarget: {service: orders}\nfrom: {service: web}\ntimeout: {request: 3s}\n`);
    const refused = await api.call('DELETE', '/v1/services/orders');
    expect(refused.body).toMatchObject({
      code: 'referred', status: 409,
      referrers: expect.arrayContaining([{ from: 'Service/web', pointer: '/dependsOn/0', to: 'Service/orders' }, { from: 'Policy/p', pointer: '/target/service', to: 'Service/orders' }]),
    });
    expect((await api.call('GET', '/v1/services/orders')).status).toBe(200);
  });

  test('several documents are deleted together, whatever names what, or none of them', async () => {
    await api.apply(`${service('orders')}${service('web', 'dependsOn: [orders]\n')}kind: Policy\nname: p\ntarget: {service: orders}\nfrom: {service: web}\ntimeout: {request: 3s}\n`);
    const remove = (...documents: string[]): ReturnType<ApiFixture['call']> => api.call('POST', '/v1/delete?message=away', { body: { documents } });
    expect((await remove('Service/orders', 'Service/web')).body).toMatchObject({ code: 'referred', referrers: expect.arrayContaining([expect.objectContaining({ from: 'Policy/p' })]) });
    expect((await remove('Service/orders', 'Service/nobody')).body).toMatchObject({ code: 'not-found', detail: expect.stringContaining('Service/nobody') });
    expect((await api.call('GET', '/v1/services')).body.total).toBe(2);
    expect((await remove('Service/orders', 'Policy/p', 'Service/web', 'Policy/p')).body).toMatchObject({ outcome: 'committed', changeCount: 3, revision: { revision: 2, message: 'away' } });
    expect((await remove()).body).toMatchObject({ code: 'bad-parameter' });
    expect((await remove('orders')).body).toMatchObject({ code: 'bad-parameter', violations: [{ pointer: '/documents/0' }] });
  });
});
