import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { startApi } from './testdata/api-fixture.ts';
import type { ApiFixture } from './testdata/api-fixture.ts';

const canary = `kind: Canary
name: orders-v2
service: orders
stable: {labels: {version: v1}}
candidate: {labels: {version: v2}}
steps: [{weight: 5, for: 1h}, {pause: approval}, {weight: 25, for: 1h}, {weight: 100}]
gates: {errorRate: {maxIncrease: 1%}}
`;

/** For what comes when it comes: how long a machine takes is not what is tested. */
const patience = { timeout: 20_000, interval: 20 };

let api: ApiFixture;
beforeEach(async () => {
  api = await startApi();
  await api.apply('kind: Service\nname: orders\nports: {http: {port: 8080, protocol: http}}\n');
});
afterEach(async () => {
  await api.close();
});

const status = async (): Promise<ApiFixture['call'] extends (...args: never[]) => Promise<infer A> ? A : never> => api.call('GET', '/v1/canaries/orders-v2/status');
const order = (kind: string, body?: object): ReturnType<ApiFixture['call']> => api.call('POST', `/v1/canaries/orders-v2/${kind}`, { ...(body !== undefined && { body }), headers: { 'x-remora-author': 'ana' } });
const untilPhase = (phase: string, step: number): Promise<unknown> => vi.waitFor(async () => { expect((await status()).body).toMatchObject({ phase, step, now: { because: expect.not.stringMatching('entering') } }); }, patience);

describe('canaries', { timeout: 60_000 }, () => {
  test('begin with their document, and say where they stand', async () => {
    await api.apply(canary);
    await untilPhase('running', 1);
    expect((await status()).body).toMatchObject({
      canary: 'orders-v2', service: 'orders', routes: ['orders-v2'], ownRoute: true, steps: 3, weight: 5, paused: false, verdict: null, blocked: '', gates: [], reportedAt: null,
      now: { action: 'hold', because: 'missing-data', sentence: 'there are no figures of the candidate and stable' },
      candidate: { labels: { version: 'v2' }, requests: null, errorShare: null }, stable: { labels: { version: 'v1' }, requests: null },
      decisions: [{ because: 'missing-data' }, { because: 'started' }],
    });
    const list = await api.call('GET', '/v1/canary-status');
    expect(list.body.items).toMatchObject([{ canary: 'orders-v2', phase: 'running' }]);
    expect(list.text).not.toContain('decisions');
    expect((await api.call('GET', '/v1/canaries/orders-v2')).body).toMatchObject({ kind: 'Canary', steps: [{ weight: 5, for: '1h' }, { pause: 'approval' }, { weight: 25 }, { weight: 100 }] });
  });

  test('show figures of callers as they come', async () => {
    await api.apply(canary);
    await untilPhase('running', 1);
    const { targets } = api.controlPlane.telemetry;
    for (const version of ['v1', 'v2']) targets.seen({ destination: 'orders', target: `version=${version}` }, performance.now());
    expect((await status()).body).toMatchObject({ candidate: { requests: 0, errors: 0, errorShare: null, p99Ms: null }, now: { because: 'too-few' }, reportedAt: expect.any(String) });
  });

  test('take orders, each in the audit log with its author', async () => {
    await api.apply(canary);
    await untilPhase('running', 1);
    expect((await order('pause')).body).toMatchObject({ paused: true, now: { because: 'paused' } });
    expect((await order('resume')).body).toMatchObject({ paused: false });
    // The step asks for approval: what was approved still waits for figures.
    expect((await order('promote')).body).toMatchObject({ step: 1, now: { because: 'missing-data' } });
    await order('promote', { now: true });
    await untilPhase('running', 2);
    await order('abort');
    await vi.waitFor(async () => { expect((await status()).body).toMatchObject({ phase: 'aborted', weight: null, verdict: { end: 'aborted', by: 'ana', sentence: 'aborted by ana' } }); }, patience);
    expect((await order('pause')).body).toMatchObject({ status: 409, code: 'canary-over', detail: 'Canary/orders-v2 is aborted: there is nothing to pause' });
    const { items } = (await api.call('GET', '/v1/audit?limit=100')).body;
    const written = (items as readonly { action: string; actor: { name?: string }; what: { order?: string; documents?: unknown } }[]);
    expect(written.filter(({ action }) => action.endsWith('Canary')).map(({ action, what, actor }) => [action, what.order, actor.name]).reverse()).toEqual([
      ['pauseCanary', 'pause', 'ana'], ['resumeCanary', 'resume', 'ana'], ['promoteCanary', 'promote', 'ana'], ['promoteCanary', 'promote', 'ana'], ['abortCanary', 'abort', 'ana'],
    ]);
    expect(written.filter(({ action, actor }) => action === 'documents.write' && actor.name === 'orders-v2').length).toBe(3);
  });

  test('have their Routes for themselves', async () => {
    await api.apply(canary);
    const refused = await api.call('PUT', '/v1/routes/orders-v2', { body: 'kind: Route\nname: orders-v2\nservice: orders\n' });
    expect(refused.body).toMatchObject({ status: 409, code: 'owned-by-canary', document: 'Route/orders-v2', canary: 'orders-v2', title: 'A running canary has it' });
    expect((await api.call('PUT', '/v1/canaries/orders-v2', { body: canary.replace('weight: 5', 'weight: 6') })).body).toMatchObject({ code: 'owned-by-canary', document: 'Canary/orders-v2' });
  });

  test('that are not there have no status and take no orders', async () => {
    expect((await status()).body).toMatchObject({ status: 404, code: 'not-found' });
    expect((await order('abort')).body).toMatchObject({ status: 404, code: 'not-found' });
    expect((await order('promote', { soon: true })).status).toBe(404);
    await api.apply(canary);
    expect((await order('promote', { soon: true })).body).toMatchObject({ code: 'bad-parameter' });
  });

  test('nobody claims to be one', async () => {
    await api.apply(canary);
    const answer = await api.call('PUT', '/v1/services/web', { body: 'kind: Service\nname: web\nports: {http: {port: 1}}\n', headers: { 'x-remora-author': 'canary/orders-v2' } });
    expect(answer.body).toMatchObject({ code: 'bad-request' });
  });
});
