import { subjectKey } from '@remora/core/subject';
import type { Subject } from '@remora/core/subject';
import { NackClass, type Query } from '@remora/proto/gen/remora/push/v1/push';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectInMemory } from '../push/memory-stream.ts';
import type { MemoryClient } from '../push/memory-stream.ts';
import { TestSidecar } from '../push/testdata/test-sidecar.ts';
import { startApi } from './testdata/api-fixture.ts';
import type { ApiFixture } from './testdata/api-fixture.ts';

const mesh = `
kind: Service
name: payments
ports: {http: {port: 8080, protocol: http}}
---
kind: Service
name: orders
ports: {http: {port: 8080, protocol: http}}
dependsOn: [payments]
---
kind: Gateway
name: edge
listeners: {plain: {port: 8080}}
---
kind: Route
name: shop
gateway: edge
match: {path: {prefix: /shop}}
to: [{service: orders}]
---
kind: Route
name: orders-admin
service: orders
match: {path: {template: "/shop/{tenant}/admin"}}
---
kind: Policy
name: base
target: {}
timeout: {request: 10s}
`;
const limit = 'kind: Policy\nname: limit\ntarget: {gateway: edge}\nrateLimit: {limits: {perIp: {requests: 1, per: 1m, key: [clientAddress]}}}\n';

/** The API with sidecars connected to its hub. */
describe('the loop', () => {
  let api: ApiFixture;
  let links: MemoryClient[];
  beforeEach(async () => {
    api = await startApi();
    links = [];
    await api.apply(mesh);
  });
  afterEach(async () => {
    for (const link of links) link.break();
    await api.close();
    expect(api.alarms).toEqual([]);
  });

  async function connect(nodeId: string, subject: Subject, answer?: TestSidecar['answer']): Promise<TestSidecar> {
    const sidecar = new TestSidecar({ nodeId, subject });
    if (answer) sidecar.answer = answer;
    const link = connectInMemory({ accept: (stream) => api.controlPlane.hub.acceptSync(stream), client: { message: (message) => sidecar.receive(message), ended: () => {} }, soon: setImmediate });
    links.push(link);
    sidecar.open((message) => link.send(message));
    await expect.poll(async () => (await api.call('GET', `/v1/sidecars/${nodeId}`)).body?.phase).toBe('in-sync');
    return sidecar;
  }

  /** A sidecar's Queries stream. */
  function answerQueries(sidecar: TestSidecar, reply: (query: Query) => { readonly json: string; readonly error: string }): void {
    const handler = api.controlPlane.hub.acceptQueries({
      peer: { address: 'memory', certificates: [] },
      end: () => {},
      send: (query: Query) => setImmediate(() => handler.message({ id: query.id, nodeId: '', incarnation: 0n, ...reply(query) })),
    });
    handler.message({ id: 0n, nodeId: sidecar.nodeId, incarnation: sidecar.incarnation, json: '', error: '' });
  }

  /** One that answers `why` with these refusals. */
  function answerWhy(sidecar: TestSidecar, refusals: readonly object[]): void {
    answerQueries(sidecar, () => ({ json: JSON.stringify({ nodeId: sidecar.nodeId, refusals }), error: '' }));
  }

  const edge: Subject = { kind: 'gateway', name: 'edge' };
  const orders: Subject = { kind: 'service', name: 'orders' };

  test('enforcement is paged, with counts whole on every page and whoever refuses first', async () => {
    for (const nodeId of ['edge-1', 'edge-2', 'edge-3', 'edge-4']) {
      const sidecar = await connect(nodeId, { kind: 'gateway', name: 'edge' });
      if (nodeId === 'edge-3') sidecar.answer = () => ({ nack: NackClass.NACK_CLASS_INVALID });
    }
    const answer = await api.apply(limit, '?wait=applied&timeout=5s');
    const url = `/v1/revisions/${answer.revision.revision}/enforcement`;
    await expect.poll(async () => (await api.call('GET', url)).body.done).toBe(true);
    const seen: string[] = [];
    let next: string | null = '';
    while (next !== null) {
      const { body } = await api.call('GET', `${url}?limit=2${next === '' ? '' : `&after=${encodeURIComponent(next)}`}`);
      expect(body).toMatchObject({ counts: { total: body.counts.applied + body.counts.refused }, complete: true });
      for (const { nodeId, outcome } of body.sidecars) seen.push(`${nodeId} ${outcome}`);
      next = body.next;
    }
    expect(seen).toEqual(['edge-3 refused', 'edge-1 applied', 'edge-2 applied', 'edge-4 applied']);
    expect((await api.call('GET', `${url}?outcome=refused`)).body).toMatchObject({ counts: { applied: 3, refused: 1 }, sidecars: [{ nodeId: 'edge-3' }], next: null });
    expect((await api.call('GET', `${url}?after=edge-3`)).status).toBe(400);
    expect((await api.call('GET', `${url}?limit=1001`)).status).toBe(400);
  });

  test('wait=applied answers when those concerned enforce it, and only they are named', async () => {
    await connect('edge-1', edge);
    await connect('orders-1', orders);
    const answer = await api.apply(limit, '?wait=applied&timeout=5s');
    expect(answer).toMatchObject({
      outcome: 'committed', subjects: ['gateway/edge'], sidecars: [{ nodeId: 'edge-1', subject: 'gateway/edge', connected: true }],
      enforcement: { done: true, counts: { total: 1, applied: 1, refused: 0, pending: 0 }, sidecars: [{ nodeId: 'edge-1', outcome: 'applied', refusal: null }] },
    });
    expect((await api.call('GET', `/v1/revisions/${answer.revision.revision}/enforcement`)).body).toMatchObject({ counts: { applied: 1 } });
  });

  test('a dry run names the sidecars that it would touch, connected or not', async () => {
    await connect('edge-1', edge);
    expect(await api.apply(limit, '?dryRun')).toMatchObject({ outcome: 'dry-run', sidecars: [{ nodeId: 'edge-1' }], sidecarCount: 1 });
  });

  test('a refusal is told by the write, the revision, the sidecar and the policy, with its pointer', async () => {
    let refuse = false;
    const status = async (name: string): Promise<ReturnType<ApiFixture['call']>> => api.call('GET', `/v1/policies/${name}/status`);
    await connect('edge-1', edge, (lane) => (refuse && lane === 'config' ? { nack: NackClass.NACK_CLASS_INVALID, errors: [{ resource: 'settings', kind: 'rateLimit', pointer: '/limits/perIp', code: 'unknown-kind', message: 'this build does not know rateLimit', policies: ['limit'] }] } : 'ack'));
    refuse = true;
    const answer = await api.apply(limit, '?wait=applied&timeout=5s');
    expect(answer.enforcement).toMatchObject({ counts: { refused: 1 }, sidecars: [{ outcome: 'refused', refusal: { class: 'invalid', errors: [{ kind: 'rateLimit', pointer: '/limits/perIp', policies: ['limit'] }] } }] });
    expect((await api.call('GET', '/v1/sidecars?phase=refused')).body).toMatchObject({ total: 1, counts: { refused: 1 }, items: [{ nodeId: 'edge-1', lastRefusal: { class: 'invalid' } }] });
    expect((await status('limit')).body).toMatchObject({
      policy: 'limit', revision: 2, refusedByCount: 1, enforcement: { total: 1, refused: 1 },
      refusedBy: [{ nodeId: 'edge-1', subject: 'gateway/edge', connected: true, refusal: { class: 'invalid', errors: [{ pointer: '/limits/perIp', policies: ['limit'] }] } }],
    });
    expect((await status('base')).body).toMatchObject({ revision: 1, refusedBy: [], refusedByCount: 0 });
    expect((await status('limt')).body).toMatchObject({ code: 'not-found', suggestion: 'limit' });
    refuse = false;
    expect((await api.call('POST', `/v1/revisions/${answer.revision.revision}/revert?wait=applied`)).body.enforcement).toMatchObject({ done: true, counts: { applied: 1 } });
  });

  test('one that stays silent is pending at the timeout, and the commit stands', async () => {
    let silent = false;
    await connect('edge-1', edge, () => (silent ? 'silent' : 'ack'));
    silent = true;
    const answer = await api.apply(limit, '?wait=applied&timeout=100ms');
    expect(answer).toMatchObject({ outcome: 'committed', enforcement: { done: false, counts: { pending: 1 } } });
  });

  test('deleting a service that has live sidecars trips in-use', async () => {
    await connect('payments-1', { kind: 'service', name: 'payments' });
    await api.apply('kind: Service\nname: orders\nports: {http: {port: 8080, protocol: http}}\n');
    expect((await api.call('DELETE', '/v1/services/payments')).body).toMatchObject({ code: 'guard', guards: [{ guard: 'in-use', subject: 'service/payments', message: 'Service/payments has 1 connected sidecar' }] });
    expect((await api.call('DELETE', '/v1/services/payments?force=in-use')).body).toMatchObject({ outcome: 'committed' });
    await expect.poll(async () => (await api.call('GET', '/v1/sidecars/payments-1')).body.phase).toBe('orphaned');
  });

  test('snapshots are shown as they are, and as they were; history says who changed them', async () => {
    await connect('edge-1', edge);
    const before = (await api.call('GET', '/v1/sidecars/edge-1/snapshot')).body;
    expect(before.entries.map((entry: { type: string }) => entry.type)).toEqual(expect.arrayContaining(['listener', 'route', 'destination', 'settings']));
    await api.apply(limit, '?wait=applied&message=limits');
    const { hash, revision } = (await api.call('GET', '/v1/sidecars/edge-1/snapshot')).body;
    expect(hash).not.toBe(before.hash);
    expect((await api.call('GET', '/v1/sidecars/edge-1/snapshot?at=1')).body).toEqual(before);
    const { epoch } = api.controlPlane.store.head();
    expect((await api.call('GET', `/v1/sidecars/edge-1/snapshot?version=${epoch}.1`)).body).toEqual(before);
    expect((await api.call('GET', `/v1/sidecars/edge-1/snapshot?at=${new Date().toISOString()}`)).body.hash).toBe(hash);
    expect((await api.call('GET', '/v1/sidecars/edge-1/snapshot?at=2000-01-01T00:00:00Z')).body).toMatchObject({ code: 'gone' });
    expect((await api.call('GET', '/v1/sidecars/edge-1/snapshot?version=7.1')).body).toMatchObject({ code: 'not-found' });
    expect((await api.call('GET', '/v1/sidecars/edge-1/snapshot?at=99')).body).toMatchObject({ code: 'not-found' });
    expect((await api.call('GET', '/v1/sidecars/edge-1/history')).body.items).toMatchObject([{ revision, message: 'limits', hash, current: true }, { revision: 1, hash: before.hash, current: false }]);
  });

  test('a snapshot shows what decides among the entries of a Route', async () => {
    await connect('edge-1', edge);
    await api.apply('kind: Route\nname: shop\ngateway: edge\nmatch: {path: {prefix: /shop}}\nto: [{service: orders, weight: 90}, {service: payments, weight: 10}]\nsticky: {header: X-User-Id}\n', '?wait=applied');
    const { entries } = (await api.call('GET', '/v1/sidecars/edge-1/snapshot')).body as { readonly entries: readonly { readonly type: string; readonly name: string; readonly resource: { readonly route?: object } }[] };
    expect(entries.find(({ name }) => name.endsWith('/shop'))?.resource.route).toMatchObject({ forward: { stickyHeader: 'x-user-id', targets: [{ service: 'orders', weight: 90 }, { service: 'payments', weight: 10 }] } });
  });

  test('a tap tells what sidecars say has ended, who is silent, and that more than 64 are not looked at', async () => {
    const tapped = { atMs: 0, side: 'gateway', method: 'GET', authority: 'shop', path: '/', route: 'shop', destination: '', upstream: '', status: 200, grpcStatus: -1, reason: '', attempts: 1, durationMs: 1, requestId: 'r-1', caller: '' };
    const asked: string[] = [];
    await Promise.all(Array.from({ length: 66 }, async (_, i) => {
      const nodeId = `edge-${String(i).padStart(2, '0')}`;
      answerQueries(await connect(nodeId, edge), ({ question }) => {
        const text = question?.$case === 'inspect' ? question.value.request : '';
        asked.push(text);
        return nodeId === 'edge-01' ? { json: '', error: 'too busy' } : { json: JSON.stringify({ requests: nodeId === 'edge-00' ? [tapped] : [], skipped: nodeId === 'edge-02' ? 3 : 0 }), error: '' };
      });
    }));
    const { text } = await api.call('GET', '/v1/tap?gateway=edge&status=2xx&for=1ms');
    const events = text.split('\n\n').filter(Boolean).map((one) => one.replace('\ndata: ', ' '));
    expect(events[0]).toBe('event: left-out {"sidecars":2}');
    expect(events).toContain('event: silent {"nodeId":"edge-01","detail":"too busy"}');
    expect(events.find((one) => one.startsWith('event: request'))).toContain('"nodeId":"edge-00"');
    expect(events.find((one) => one.startsWith('event: skipped'))).toBe('event: skipped {"nodeId":"edge-02","skipped":3}');
    expect(events.at(-1)).toMatch(/^event: end \{"seen":\d+,"sidecars":66\}$/);
    expect(new Set(asked).size).toBe(1);
    expect(JSON.parse(asked[0] ?? '')).toMatchObject({ filter: { status: '2xx' } });
  });

  test('an edit that means the same is nothing to send', async () => {
    const sidecar = await connect('edge-1', edge);
    const sent = sidecar.log.length;
    expect(await api.apply(`${mesh.slice(mesh.lastIndexOf('---') + 4)}labels: {a: b}\n`, '?wait=applied')).toMatchObject({ outcome: 'committed', subjects: [], enforcement: { done: true, counts: { total: 0 } } });
    expect(sidecar.log.length).toBe(sent);
  });

  describe('why', () => {
    test('names hop, reason, policy, field, revision and author', async () => {
      await api.call('POST', '/v1/apply?message=limits%20for%20all', { body: limit, headers: { 'x-remora-author': 'ana' } });
      const sidecar = await connect('edge-1', edge);
      await api.apply(limit.replace('requests: 1', 'requests: 2'));
      const { epoch } = api.controlPlane.store.head();
      answerWhy(sidecar, [{
        requestId: 'req-1', atMs: 1_800_000_000_000, side: 'gateway', method: 'GET', authority: 'shop', path: '/shop', route: 'shop', destination: 'orders', status: 429, reason: 'rate-limited', responseFlag: 'RL',
        kind: 'rateLimit', pointer: '/limits/perIp', policy: 'limit', configVersion: `${epoch}.2`, configHash: 'abc', detail: '', clientAddress: '10.0.0.1', traceId: 'a'.repeat(32), shadow: false,
      }]);
      expect((await api.call('GET', '/v1/why/req-1')).body).toEqual({
        requestId: 'req-1', silent: [], decided: 0,
        refusals: [{
          nodeId: 'edge-1', subject: subjectKey(edge), at: '2027-01-15T08:00:00.000Z', side: 'gateway', method: 'GET', authority: 'shop', path: '/shop', route: 'shop', destination: 'orders', status: 429,
          reason: 'rate-limited', responseFlag: 'RL', detail: '', traceId: 'a'.repeat(32), shadow: false, kind: 'rateLimit', policy: 'limit', pointer: '/rateLimit/limits/perIp', snapshot: 2, snapshotHash: 'abc',
          revision: 2, revisionAt: expect.any(String), author: 'ana', message: 'limits for all',
          before: null, tries: [], triesLeftOut: 0, noFurther: null, hosts: null, fallback: '', held: [],
          cause: {
            what: 'rate-limited', figures: '', since: null, kind: 'rateLimit', policy: 'limit', pointer: '/rateLimit/limits/perIp', revision: 2, revisionAt: expect.any(String), author: 'ana', message: 'limits for all',
          },
        }],
      });
    });

    test('an answer that makes no sense says nothing; those that do not answer are named', async () => {
      answerWhy(await connect('edge-1', edge), [null as unknown as object, { atMs: 'yesterday', status: {}, policy: 7 }]);
      await connect('orders-1', orders);
      const { body } = await api.call('GET', '/v1/why/req-2');
      expect(body.silent).toEqual(['orders-1']);
    });
  });

  describe('explain', () => {
    test('says per field value, winner, losers and why, for a caller too', async () => {
      await api.apply('kind: Policy\nname: slow\ntarget: {service: payments}\nfrom: {service: orders}\ntimeout: {request: 30s}\n');
      const { body } = await api.call('GET', '/v1/explain?service=payments&caller=orders&field=/timeout/request');
      expect(body.fields).toMatchObject([{ pointer: '/timeout/request', value: '30s', winner: { policy: 'slow' }, losers: [{ policy: { policy: 'base' }, value: '10s' }], why: expect.any(String) }]);
      const before = await api.call('GET', '/v1/explain?service=payments&caller=service/orders&field=/timeout/request&at=1');
      expect(before.body.fields).toMatchObject([{ value: '10s', winner: { policy: 'base' } }]);
    });

    test('shows what policies set, and what is asked for by name; all of it with ?all', async () => {
      const pointers = async (query: string): Promise<readonly string[]> => (await api.call('GET', `/v1/explain?service=payments&caller=orders${query}`)).body.fields.map((field: { pointer: string }) => field.pointer);
      const set = await pointers('');
      expect(set).toEqual(['/timeout/request']);
      const everything = await pointers('&all');
      expect(everything).toEqual(expect.arrayContaining(['/timeout/request', '/timeout/connect', '/requestLimits/headerCount']));
      expect((await api.call('GET', '/v1/explain?service=payments&caller=orders')).body.defaults).toBe(everything.length - set.length);
      expect((await api.call('GET', '/v1/explain?service=payments&caller=orders&all=true')).body.defaults).toBe(0);
      expect(await pointers('&field=/timeout')).toEqual(['/timeout/request']);
      expect(await pointers('&field=/timeout/connect')).toEqual(['/timeout/connect']);
      await api.apply('kind: Policy\nname: bounded\ntarget: {}\nbounds: [{field: /retry/retries, max: 4}]\n');
      expect(await pointers('')).toEqual(expect.arrayContaining(['/retry/retries', '/timeout/request']));
      const ask = async (query: string): Promise<{ fields: unknown[]; defaults: number }> => (await api.call('POST', `/v1/explain${query}`, { body: { service: 'payments', request: { path: '/' } } })).body;
      expect((await ask('?all')).fields.length).toBe((await ask('')).fields.length + (await ask('')).defaults);
    });

    test('a dry run leaves out defaults that come with a section, and counts them', async () => {
      const document = 'kind: Policy\nname: shop-cors\ntarget: {gateway: edge}\ncors: {origins: ["https://a.example"]}\n';
      const some = await api.apply(document, '?dryRun');
      expect(some['effective']).toMatchObject({ changes: [{ pointer: '/cors/origins', winner: 'shop-cors' }], more: 0 });
      const all = await api.apply(document, '?dryRun&all') as { effective: { changes: { pointer: string }[]; defaults: number } };
      expect(all.effective.defaults).toBe(0);
      expect(all.effective.changes.length).toBe(1 + (some as { effective: { defaults: number } }).effective.defaults);
      expect(all.effective.changes.map(({ pointer }) => pointer)).toContain('/cors/credentials');
    });

    test('as of a revision or a time; what is past retention is gone', async () => {
      const asked = async (at: string): Promise<ReturnType<ApiFixture['call']>> => api.call('GET', `/v1/explain?service=payments&caller=orders&field=/timeout/request&at=${encodeURIComponent(at)}`);
      const first = new Date().toISOString();
      await expect.poll(() => Date.now()).toBeGreaterThan(Date.parse(first));
      await api.apply('kind: Policy\nname: base\ntarget: {}\ntimeout: {request: 20s}\n');
      expect((await asked(first)).body).toMatchObject({ revision: 1, fields: [{ value: '10s' }] });
      expect((await asked(new Date().toISOString())).body).toMatchObject({ revision: 2, fields: [{ value: '20s' }] });
      expect((await asked('2000-01-01T00:00:00Z')).body).toMatchObject({ code: 'gone', status: 410 });
      expect((await asked('99')).body).toMatchObject({ code: 'not-found', status: 404 });
      expect((await asked('yesterday')).body).toMatchObject({ code: 'bad-parameter' });
      expect((await api.call('POST', '/v1/explain', { body: { service: 'orders', at: first, request: { path: '/' } } })).body).toMatchObject({ revision: 1 });
    });

    test('past retention every way into the past answers 410', async () => {
      await connect('edge-1', edge);
      await api.apply(limit, '?wait=applied');
      await api.apply(limit.replace('requests: 1', 'requests: 2'), '?wait=applied');
      expect(await api.controlPlane.store.compact({ minAgeMs: 0, minEntries: 1, nowMs: Date.now() + 1_000 })).toBe(2);
      for (const path of ['/v1/revisions/1', '/v1/revisions/1/diff', '/v1/revisions/3/diff?against=1', '/v1/sidecars/edge-1/snapshot?at=1', '/v1/explain?gateway=edge&at=1']) {
        expect((await api.call('GET', path)).body, path).toMatchObject({ status: 410, detail: expect.stringContaining('the oldest kept is 3') });
      }
      for (const path of ['/v1/revisions/1/revert', '/v1/restore-to/1']) expect((await api.call('POST', path)).body, path).toMatchObject({ status: 410 });
      expect((await api.call('GET', '/v1/sidecars/edge-1/snapshot?at=3')).status).toBe(200);
    });

    test('says which name does not exist, and the nearest that does', async () => {
      const detail = async (query: string): Promise<string> => (await api.call('GET', `/v1/explain?${query}`)).body.detail;
      expect(await detail('service=paymets')).toBe('there is no service paymets; did you mean payments?');
      expect(await detail('gateway=edge&route=shp')).toBe('gateway edge has no route shp; did you mean shop?');
      expect(await detail('service=payments&caller=ordrs')).toBe('there is no service ordrs; did you mean orders?');
      expect(await detail('service=orders&caller=gateway/edge&callerRoute=nope')).toBe('gateway edge has no route nope');
      expect(await detail('service=orders&field=/tiemout/request')).toBe('field: there is no policy kind tiemout; did you mean /timeout?');
    });

    test('finds the place of a request with the router that sidecars run', async () => {
      await api.apply('kind: Policy\nname: slow\ntarget: {service: orders, route: orders-admin}\ntimeout: {request: 30s}\n');
      const ask = (path: string, more: object = {}): ReturnType<ApiFixture['call']> => api.call('POST', '/v1/explain', { body: { gateway: 'edge', request: { path, authority: 'shop.example' }, ...more } });
      const { body } = await ask('/shop/%61cme/admin?x=1');
      expect(body).toMatchObject({ path: '/shop/acme/admin', port: 'plain', route: 'shop', outcome: 'forward', targets: [{ service: 'orders', route: 'orders-admin', place: { caller: { kind: 'gateway', name: 'edge', route: 'shop' } } }] });
      expect(body.targets[0].sections).toContainEqual(expect.objectContaining({ kind: 'timeout', value: expect.objectContaining({ request: '30s' }) }));
      expect((await ask('/elsewhere')).body).toMatchObject({ outcome: 'refused', reason: 'no-route', route: '' });
      expect((await ask('/shop/%2e%2e/x')).body).toMatchObject({ outcome: 'refused', reason: 'bad-path', path: '' });
      expect((await api.call('POST', '/v1/explain', { body: { service: 'orders', request: { path: '/shop/acme/admin' } } })).body).toMatchObject({ route: 'orders-admin', variables: { tenant: 'acme' }, outcome: 'app' });
      expect((await ask('/shop', { request: { pth: '/x' } })).body).toMatchObject({ code: 'bad-parameter', violations: expect.arrayContaining([expect.objectContaining({ pointer: '/request/pth', code: 'unknown-field' })]) });
      expect((await ask('/shop', { request: { path: '/x', port: 'tls' } })).body).toMatchObject({ code: 'not-found', detail: expect.stringContaining('plain') });
    });
  });
});

describe('a store whose documents cannot be compiled', () => {
  test('answers and says what is wrong, pushes nothing, and can be repaired', async () => {
    const first = await startApi();
    const { store } = first.controlPlane;
    await store.append({
      expectedHead: store.head(), author: 'x', message: '', kind: 'documents', grants: [],
      changes: [{ key: 'Policy/broken', before: null, after: { kind: 'Policy', name: 'broken', target: { service: 'nobody' }, nonsense: { a: 1 } }, ownerBefore: '', ownerAfter: '' }],
    });
    const api = await startApi({ store });
    expect((await api.call('GET', '/readyz')).body).toMatchObject({ code: 'not-ready', status: 503, violations: expect.arrayContaining([expect.objectContaining({ document: 'Policy/broken' })]) });
    expect((await api.call('GET', '/v1/policies/broken')).status).toBe(200);
    expect((await api.call('GET', '/v1/explain?service=a')).body).toMatchObject({ code: 'not-ready' });
    expect((await api.call('POST', '/v1/apply', { body: 'kind: Service\nname: a\nports: {http: {port: 1, protocol: http}}\n' })).body).toMatchObject({ code: 'documents-refused' });
    expect((await api.call('DELETE', '/v1/policies/broken')).body).toMatchObject({ outcome: 'committed' });
    expect((await api.call('GET', '/readyz')).status).toBe(200);
    await api.close();
  });
});
