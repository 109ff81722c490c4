import type { Subject } from '@remora/core/subject';
import type { Query } from '@remora/proto/gen/remora/push/v1/push';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectInMemory, type MemoryClient } from '../push/memory-stream.ts';
import { TestSidecar } from '../push/testdata/test-sidecar.ts';
import { startApi, type ApiFixture } from './testdata/api-fixture.ts';

const mesh = `
kind: Service
name: orders
ports: {http: {port: 8080, protocol: http}}
---
kind: Service
name: web
ports: {http: {port: 8081, protocol: http}}
dependsOn: [orders]
---
kind: Gateway
name: edge
listeners: {plain: {port: 80, hosts: [api.shop.example, "*.eu.shop.example"]}, other: {port: 8080, hosts: [other.example]}}
---
kind: Gateway
name: twin
listeners: {plain: {port: 80, hosts: [other.example]}}
---
kind: Route
name: all
gateway: edge
to: [{service: orders}]
`;

const yes = { allowed: true, listener: 'http', route: '', path: '/checkout', decision: null, steps: [], allowedBy: [{ pointer: '/rules/a', shadow: false, policies: ['p'] }], limits: [], identity: null };

describe('POST /v1/can', () => {
  let api: ApiFixture;
  let links: MemoryClient[];
  let asked: Record<string, unknown>[];
  beforeEach(async () => {
    api = await startApi();
    links = [];
    asked = [];
    await api.apply(mesh);
  });
  afterEach(async () => {
    for (const link of links) link.break();
    await api.close();
    expect(api.alarms).toEqual([]);
  });

  async function connect(nodeId: string, subject: Subject, answer: object | string): Promise<void> {
    const sidecar = new TestSidecar({ nodeId, subject });
    const link = connectInMemory({ accept: (stream) => api.controlPlane.hub.acceptSync(stream), client: { message: (message) => sidecar.receive(message), ended: () => {} }, soon: setImmediate });
    links.push(link);
    sidecar.open((message) => link.send(message));
    await expect.poll(async () => (await api.call('GET', `/v1/sidecars/${nodeId}`)).body?.phase).toBe('in-sync');
    const handler = api.controlPlane.hub.acceptQueries({
      peer: { address: 'memory', certificates: [] },
      end: () => {},
      send: ({ id, question }: Query) => {
        if (question?.$case === 'inspect') asked.push(JSON.parse(question.value.request) as Record<string, unknown>);
        setImmediate(() => handler.message(typeof answer === 'string' ? { id, nodeId: '', incarnation: 0n, json: '', error: answer } : { id, nodeId: '', incarnation: 0n, json: JSON.stringify(answer), error: '' }));
      },
    });
    handler.message({ id: 0n, nodeId, incarnation: sidecar.incarnation, json: '', error: '' });
  }

  const can = async (body: object) => api.call('POST', '/v1/can', { body });

  test('asks a live sidecar of the service, as the caller', async () => {
    await connect('orders-1', { kind: 'service', name: 'orders' }, yes);
    const { status, body } = await can({ service: 'orders', method: 'POST', path: '/checkout', caller: 'web', address: '10.0.0.1' });
    expect(status).toBe(200);
    expect(body).toMatchObject({ allowed: true, sidecar: 'orders-1', subject: 'service/orders', current: true, allowedBy: [{ pointer: '/rules/a' }], notes: [] });
    expect(asked).toEqual([{ side: 'inbound', method: 'POST', authority: 'orders', path: '/checkout', headers: {}, as: { caller: 'web', address: '10.0.0.1' } }]);
  });

  test('finds the gateway and listener of a URL, and sends the token as a client would', async () => {
    await connect('edge-1', { kind: 'gateway', name: 'edge' }, { ...yes, allowed: false, decision: { kind: 'jwt', reason: 'jwt-expired', status: 401 } });
    const { body } = await can({ url: 'http://api.shop.example/%61/../orders?x=1#y', token: 'a.b.c' });
    expect(body).toMatchObject({ allowed: false, decision: { kind: 'jwt', reason: 'jwt-expired' } });
    expect(asked).toMatchObject([{ side: 'gateway', listener: 'plain', authority: 'api.shop.example', path: '/%61/../orders?x=1', headers: { authorization: 'Bearer a.b.c' } }]);
    expect((await can({ url: 'http://x.eu.shop.example/' })).status).toBe(200);
  });

  test('says what it cannot know', async () => {
    await connect('orders-1', { kind: 'service', name: 'orders' }, { ...yes, notAsked: ['externalAuth'] });
    const { body } = await can({ service: 'orders', caller: 'orders' });
    expect(body.notes).toEqual([expect.stringContaining('127.0.0.1'), expect.stringContaining('externalAuth'), expect.stringContaining('dependsOn')]);
  });

  test.each<[string, object, number, string]>([
    ['nobody lives there', { service: 'orders' }, 503, 'offline'],
    ['no such service', { service: 'payments' }, 404, 'not-found'],
    ['no gateway has the host', { url: 'http://evil.example/' }, 404, 'not-found'],
    ['no gateway has it with TLS', { url: 'https://api.shop.example/' }, 404, 'not-found'],
    ['no URL', { url: 'api.shop.example' }, 400, 'bad-parameter'],
    ['credentials in the URL', { url: 'http://a:b@api.shop.example/' }, 400, 'bad-parameter'],
    ['two places', { service: 'orders', gateway: 'edge' }, 400, 'bad-parameter'],
    ['a token of two lines', { service: 'orders', token: 'a\r\nb' }, 400, 'bad-parameter'],
    ['an unknown field', { service: 'orders', tokn: 'a' }, 400, 'bad-parameter'],
  ])('%s', async (_title, body, status, code) => {
    const answer = await can(body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  test.each<[string, object | string, string]>([['a refusal', 'no such question', 'sidecar-failed'], ['another shape', { allowed: 'yes' }, 'sidecar-failed'], ['a problem', { problem: 'knows no Consumer x' }, 'sidecar-failed']])('%s of the sidecar is no verdict', async (_title, answer, code) => {
    await connect('orders-1', { kind: 'service', name: 'orders' }, answer);
    const { status, body } = await can({ service: 'orders' });
    expect([status, body.code]).toEqual([502, code]);
  });
});
