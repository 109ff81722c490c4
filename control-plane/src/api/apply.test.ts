import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startApi } from './testdata/api-fixture.ts';
import type { ApiFixture } from './testdata/api-fixture.ts';

const mesh = `
kind: Service
name: orders
ports: {http: {port: 8080, protocol: http}}
---
kind: Gateway
name: edge
listeners: {plain: {port: 8080}}
---
kind: Route
name: all
gateway: edge
match: {path: {prefix: /}}
to: [{service: orders}]
---
kind: Policy
name: base
target: {}
timeout: {request: 60s}
`;
const timeout = (value: string): string => `kind: Policy\nname: base\ntarget: {}\ntimeout: {request: ${value}}\n`;

describe('apply', () => {
  let api: ApiFixture;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(() => api.close());
  const head = (): number => api.controlPlane.store.head().index;

  test('many documents are one revision, with author and message', async () => {
    const answer = await api.call('POST', '/v1/apply?message=first%20mesh', { body: mesh, headers: { 'x-remora-author': encodeURIComponent('Ána <ana@example>') } });
    expect(answer.body).toMatchObject({ outcome: 'committed', revision: { revision: 1, author: 'Ána <ana@example>', message: 'first mesh', documentCount: 4 }, changeCount: 4 });
    expect(answer.body.subjects).toEqual(['gateway/edge', 'service/orders']);
    expect(answer.headers['x-remora-revision']).toBe('1');
  });

  test('what means the same makes no revision, however it is written', async () => {
    await api.apply(mesh);
    expect(await api.apply(timeout('1m'))).toMatchObject({ outcome: 'unchanged', revision: null, changes: [], subjects: [] });
    expect(await api.apply(`timeout: {request: 60000ms}\ntarget: {}\nname: base\nkind: Policy\n`)).toMatchObject({ outcome: 'unchanged' });
    expect(head()).toBe(1);
  });

  test('an edit that changes a document but nothing that is enforced concerns no sidecar', async () => {
    await api.apply(mesh);
    expect(await api.apply(`${timeout('60s')}labels: {team: a}\n`)).toMatchObject({ outcome: 'committed', subjects: [], changes: [{ document: 'Policy/base', action: 'updated', fields: [{ pointer: '/labels' }] }] });
  });

  test('a dry run shows the difference, the plan and the subjects, and changes nothing', async () => {
    await api.apply(mesh);
    const dry = await api.apply(timeout('5s'), '?dryRun');
    expect(dry).toMatchObject({
      outcome: 'dry-run', revision: null, subjects: ['gateway/edge'],
      changes: [{ document: 'Policy/base', action: 'updated', fields: [{ pointer: '/timeout/request', before: '60s', after: '5s' }] }],
    });
    expect(head()).toBe(1);
    expect((await api.call('GET', '/v1/policies/base')).body.timeout).toEqual({ request: '60s' });
    expect(await api.apply(timeout('5s'), `?plan=${dry.plan}`)).toMatchObject({ outcome: 'committed', plan: dry.plan });
  });

  test('a plan that would now do something else is refused; one that would not is not', async () => {
    await api.apply(mesh);
    const { plan } = await api.apply(timeout('5s'), '?dryRun');
    await api.apply('kind: Service\nname: elsewhere\nports: {http: {port: 1, protocol: http}}\n');
    expect(await api.apply(timeout('5s'), `?plan=${plan}&dryRun`)).toMatchObject({ plan });
    await api.apply(timeout('7s'));
    expect((await api.call('POST', `/v1/apply?plan=${plan}`, { body: timeout('5s') })).body).toMatchObject({ code: 'plan-differs', status: 409, plan: expect.not.stringMatching(plan) });
  });

  test('owner sets are stamped and pruned; nothing given prunes nothing', async () => {
    const one = (name: string): string => `kind: Service\nname: ${name}\nports: {http: {port: 1, protocol: http}}\n---\n`;
    await api.apply(one('a') + one('b'), '?owner=team');
    await api.apply(one('foreign'));
    expect((await api.call('POST', '/v1/apply?prune=team', { body: '' })).body).toMatchObject({ code: 'empty-prune', status: 422 });
    const pruned = await api.apply(one('b') + one('c'), '?prune=team');
    expect(pruned.changes.map((change: { document: string; action: string }) => [change.document, change.action])).toEqual([['Service/c', 'created'], ['Service/a', 'deleted']]);
    const owners = (await api.call('GET', '/v1/services')).body.items.map((item: { document: { name: string }; owner: string }) => [item.document.name, item.owner]);
    expect(owners).toEqual([['b', 'team'], ['c', 'team'], ['foreign', '']]);
    expect(await api.apply(one('foreign'), '?owner=team')).toMatchObject({ outcome: 'committed', changes: [{ action: 'updated', fields: [], owner: { before: '', after: 'team' } }] });
  });

  test('answers about thousands of documents are bounded, and say how many there were', async () => {
    const many = (port: number): string => Array.from({ length: 1_500 }, (_, n) => `{kind: Service, name: s${n}, ports: {http: {port: ${port}, protocol: http}}}\n---\n`).join('');
    expect(await api.apply(many(1))).toMatchObject({ changeCount: 1_500, changes: { length: 1_000 }, revision: { documentCount: 1_500, documents: { length: 1_000 } } });
    await api.apply(many(2));
    expect((await api.call('GET', '/v1/revisions')).body.items).toMatchObject([{ documentCount: 1_500, documents: { length: 20 } }, { documentCount: 1_500, documents: { length: 20 } }]);
    for (const query of ['', '?against=1']) expect((await api.call('GET', `/v1/revisions/2/diff${query}`)).body).toMatchObject({ changeCount: 1_500, changes: { length: 1_000 } });
  });

  test('a new bound that documents break lists all of them; the correction may be in the same apply', async () => {
    await api.apply(mesh);
    const own = (value: string): string => `kind: Policy\nname: own\ntarget: {service: orders}\nfrom: {gateway: edge}\ntimeout: {request: ${value}}\n`;
    await api.apply(own('2m'));
    const bound = 'kind: Policy\nname: house\ntarget: {}\nbounds: [{field: /timeout/request, max: 30s}]\n';
    const refused = await api.call('POST', '/v1/apply', { body: bound });
    expect(refused.body.violations).toMatchObject([
      { document: 'Policy/base', pointer: '/timeout/request', code: 'bound-broken', message: expect.stringContaining('is 60s, at most 30s is allowed (bound 0 of Policy/house') },
      { document: 'Policy/own', pointer: '/timeout/request', code: 'bound-broken', message: expect.stringContaining('is 2m') },
    ]);
    expect(head()).toBe(2);
    expect(await api.apply(`${bound}---\n${own('20s')}---\n${timeout('30s')}`)).toMatchObject({ outcome: 'committed', changeCount: 3 });
    expect((await api.call('POST', '/v1/apply', { body: own('31s') })).status).toBe(422);
    // Only editing the policy that bounds lifts it.
    expect((await api.call('POST', '/v1/apply?force=bounds', { body: own('31s') })).body).toMatchObject({ code: 'unknown-guard' });
    await api.apply(bound.replace('30s', '40s'));
    expect(await api.apply(own('31s'))).toMatchObject({ outcome: 'committed' });
  });

  test('an idempotency key does a thing once, and only that thing', async () => {
    const send = (body: string): ReturnType<ApiFixture['call']> => api.call('POST', '/v1/apply', { body, headers: { 'idempotency-key': 'deploy-17' } });
    expect((await send(mesh)).body).toMatchObject({ outcome: 'committed' });
    await api.apply(timeout('5s'));
    expect((await send(mesh)).body).toMatchObject({ outcome: 'repeated', revision: { revision: 1 } });
    expect((await api.call('GET', '/v1/policies/base')).body.timeout).toEqual({ request: '5s' });
    expect((await send(timeout('9s'))).body).toMatchObject({ code: 'idempotency-key-reused', status: 422 });
    expect((await api.call('POST', '/v1/apply', { body: mesh, headers: { 'idempotency-key': 'a b' } })).body).toMatchObject({ code: 'bad-request' });
  });

  test('everything that is wrong is said at once, with pointers and suggestions', async () => {
    const answer = await api.call('POST', '/v1/apply', { body: 'kind: Service\nname: a\nprots: {}\n---\nkind: Policy\nname: p\ntarget: {service: nobody}\ntimeout: {requst: 5s}\n---\nkind: Nonsense\nname: x\n' });
    expect(answer.body).toMatchObject({ code: 'documents-refused', status: 422, title: 'The documents are refused' });
    expect(answer.body.violations).toEqual(expect.arrayContaining([
      expect.objectContaining({ document: 'Service/a', pointer: '/prots', suggestion: 'ports' }),
      expect.objectContaining({ document: 'Policy/p', pointer: '/timeout/requst', suggestion: 'request' }),
      expect.objectContaining({ pointer: '/kind', code: 'unknown-kind' }),
    ]));
    expect(head()).toBe(0);
  });

  test('all or nothing: one bad document keeps the good ones out', async () => {
    const answer = await api.call('POST', '/v1/apply', { body: `${mesh}---\nkind: Policy\nname: lost\ntarget: {service: nobody}\ntimeout: {request: 1s}\n` });
    expect(answer.status).toBe(422);
    expect((await api.call('GET', '/v1/services')).body.total).toBe(0);
  });

  test('JSON bodies: one document, or a list', async () => {
    const document = (name: string): object => ({ kind: 'Service', name, ports: { http: { port: 1, protocol: 'http' } } });
    expect((await api.call('POST', '/v1/apply', { body: document('one') })).body).toMatchObject({ changeCount: 1 });
    expect((await api.call('POST', '/v1/apply', { body: [document('two'), document('three')] })).body).toMatchObject({ changeCount: 2 });
  });

  test('validate says the same and changes nothing', async () => {
    expect((await api.call('POST', '/v1/validate', { body: mesh })).body).toEqual({ documents: 4, violations: [] });
    expect((await api.call('POST', '/v1/validate', { body: timeout('soon') })).body).toMatchObject({ code: 'documents-refused' });
    expect(head()).toBe(0);
  });

  test('taking a gateway\'s last Route trips its guard; forced, the log has the grant', async () => {
    await api.apply(mesh);
    const refused = await api.call('DELETE', '/v1/routes/all');
    expect(refused.body).toMatchObject({ code: 'guard', status: 409, guards: [{ guard: 'empties-routes', subject: 'gateway/edge' }] });
    expect((await api.call('DELETE', '/v1/routes/all?dryRun')).body).toMatchObject({ outcome: 'dry-run', guards: [{ guard: 'empties-routes', forced: false }] });
    const forced = await api.call('DELETE', '/v1/routes/all?force=empties-routes');
    expect(forced.body).toMatchObject({ outcome: 'committed', guards: [{ forced: true }], revision: { grants: [{ guard: 'empties-routes', subjects: ['gateway/edge'] }] } });
  });

  test('a grant is written even where the content is equal', async () => {
    await api.apply(mesh);
    const granted = await api.apply(mesh, '?force=loses-routes');
    expect(granted).toMatchObject({ outcome: 'committed', changes: [], revision: { kind: 'grant', grants: [{ guard: 'loses-routes', subjects: ['gateway/edge', 'service/orders'] }] } });
    expect((await api.call('POST', '/v1/apply?force=lose-routes', { body: mesh })).body).toMatchObject({ code: 'unknown-guard', status: 400, detail: expect.stringContaining('did you mean loses-routes') });
  });

  test('wait=applied with no sidecar concerned answers at once and says so', async () => {
    expect(await api.apply(mesh, '?wait=applied&timeout=5s')).toMatchObject({ enforcement: { done: true, counts: { total: 0 } } });
    expect((await api.call('GET', '/v1/revisions/1/enforcement')).body).toMatchObject({ done: true, sidecars: [] });
  });
});

describe('revisions', () => {
  let api: ApiFixture;
  beforeEach(async () => {
    api = await startApi();
    await api.apply(mesh, '?message=one');
    await api.apply(timeout('5s'), '?message=two');
    await api.apply(`${timeout('7s')}retry: {retries: 1}\n`, '?message=three');
  });
  afterEach(() => api.close());

  test('are listed newest first, in pages, by time and by document', async () => {
    const first = (await api.call('GET', '/v1/revisions?limit=2')).body;
    expect(first.items.map((item: { message: string }) => item.message)).toEqual(['three', 'two']);
    const second = (await api.call('GET', `/v1/revisions?limit=2&before=${first.next}`)).body;
    expect(second).toMatchObject({ items: [{ message: 'one' }], next: null, retainedFrom: 1 });
    expect((await api.call('GET', '/v1/revisions?document=Service/orders')).body.items).toMatchObject([{ message: 'one' }]);
    expect((await api.call('GET', '/v1/revisions?since=1h')).body.items).toHaveLength(3);
    expect((await api.call('GET', '/v1/revisions?since=2100-01-01T00:00:00Z')).body.items).toHaveLength(0);
    expect((await api.call('GET', '/v1/revisions?since=yesterday')).body).toMatchObject({ code: 'bad-parameter' });
    expect((await api.call('GET', '/v1/revisions/2')).body).toMatchObject({ message: 'two', documents: [{ document: 'Policy/base', action: 'updated' }] });
    expect((await api.call('GET', '/v1/revisions/9')).body).toMatchObject({ code: 'not-found' });
  });

  test('differ field by field, from the one before or from any other', async () => {
    expect((await api.call('GET', '/v1/revisions/3/diff')).body.changes).toEqual([{ document: 'Policy/base', action: 'updated', fields: [{ pointer: '/retry', after: { retries: 1 } }, { pointer: '/timeout/request', before: '5s', after: '7s' }] }]);
    expect((await api.call('GET', '/v1/revisions/1/diff?against=3')).body).toMatchObject({ from: 3, to: 1, changes: [{ fields: [{ pointer: '/retry', before: { retries: 1 } }, { pointer: '/timeout/request', before: '7s', after: '60s' }] }] });
    expect((await api.call('GET', '/v1/revisions/3/diff?against=0')).body.changes).toHaveLength(4);
    expect((await api.call('GET', '/v1/revisions/3/diff?against=3')).body.changes).toEqual([]);
  });

  test('revert undoes one, as a new one', async () => {
    expect((await api.call('POST', '/v1/revisions/3/revert?message=back')).body).toMatchObject({ outcome: 'committed', revision: { revision: 4, kind: 'revert', of: 3, message: 'back' } });
    expect((await api.call('GET', '/v1/policies/base')).body).toMatchObject({ timeout: { request: '5s' } });
    expect((await api.call('GET', '/v1/policies/base')).body.retry).toBeUndefined();
  });

  test('revert is refused where documents changed since, naming them', async () => {
    expect((await api.call('POST', '/v1/revisions/2/revert')).body).toMatchObject({ code: 'revert-conflict', status: 409, changedSince: [{ document: 'Policy/base', revision: 3 }] });
    expect((await api.call('POST', '/v1/revisions/1/revert')).body).toMatchObject({ code: 'revert-conflict' });
  });

  test('a revert may be dry, and may be refused by a guard', async () => {
    expect((await api.call('POST', '/v1/revisions/3/revert?dryRun')).body).toMatchObject({ outcome: 'dry-run', changes: [{ document: 'Policy/base' }] });
    await api.call('DELETE', '/v1/policies/base');
    expect((await api.call('POST', '/v1/restore-to/0')).body).toMatchObject({ outcome: 'committed', revision: { kind: 'restore-to', of: 0 } });
  });

  test('restore-to sets the whole state, and can itself be reverted', async () => {
    await api.apply('kind: Service\nname: late\nports: {http: {port: 1, protocol: http}}\n');
    expect((await api.call('POST', '/v1/restore-to/1')).body).toMatchObject({ outcome: 'committed', changeCount: 2, revision: { kind: 'restore-to', of: 1 } });
    expect((await api.call('GET', '/v1/policies/base')).body.timeout).toEqual({ request: '60s' });
    expect((await api.call('GET', '/v1/services/late')).status).toBe(404);
    expect((await api.call('POST', '/v1/revisions/5/revert')).body).toMatchObject({ outcome: 'committed', changeCount: 2 });
    expect((await api.call('GET', '/v1/services/late')).status).toBe(200);
    expect((await api.call('POST', '/v1/restore-to/99')).body).toMatchObject({ code: 'not-found' });
    expect((await api.call('POST', '/v1/restore-to/6')).body).toMatchObject({ outcome: 'unchanged' });
  });
});
