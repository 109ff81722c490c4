import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { accessLogAuthoring } from '@remora/policy-access-log/compile';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { effectiveSection } from '@remora/testing/effective-section';
import { afterEach, expect, test } from 'vitest';
import { runtimeKinds } from '../kinds.ts';
import type { RefusalRecord } from '../threads/data-plane.ts';
import { LocalDataPlane } from '../threads/local-data-plane.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Instances of the service: what they saw, and one that breaks off what is under `/v2/broken`. */
async function startApp(seen: string[]): Promise<number> {
  const app = http.createServer((request, response) => {
    seen.push(`${request.headers.host ?? ''} ${request.url ?? ''}`);
    if (request.url?.startsWith('/v2/broken')) request.socket.destroy();
    else response.end('ok');
  });
  app.listen(0, '127.0.0.1');
  await once(app, 'listening');
  closers.push(() => {
    app.closeAllConnections();
    app.close();
  });
  return (app.address() as AddressInfo).port;
}

async function startGateway(app: number, lines: string[], refusals: RefusalRecord[]): Promise<{ readonly port: number; readonly plane: LocalDataPlane }> {
  const plane = new LocalDataPlane({
    nodeId: 'edge', kinds: runtimeKinds,
    writeLog: (text, done) => {
      lines.push(...text.toString().split('\n').filter((line) => line !== ''));
      done();
    },
  });
  closers.push(() => plane.close());
  plane.onRefusal((refusal) => refusals.push(refusal));
  const builder = new CandidateBuilder({ kind: 'gateway', name: 'edge' }).fleet().listener({ name: 'plain' }).destination({ service: 'orders' });
  const { minFormat, body } = accessLogAuthoring.compile(effectiveSection(accessLogAuthoring, { exceptPaths: ['/v2/*'] }));
  const settings = builder.settings({ kind: 'accessLog', minFormat, body: Buffer.from(body) });
  const prefix = (value: string): object => ({ path: { kind: { $case: 'prefix', value } } });
  builder.route({ name: 'moved', settings, match: prefix('/api'), rewrite: { path: { $case: 'prefix', value: '/v2' }, host: 'inner.example' } });
  builder.route({ name: 'named', settings, match: prefix('/named'), rewrite: { host: 'inner.example' } });
  const candidate = builder.route({ name: 'rest', settings, match: prefix('/') }).build({ epoch: 1, index: 1 });
  expect(await plane.prepare(candidate)).toMatchObject({ ok: true });
  await plane.swap(candidate.hash, candidate.version);
  const [bound] = await plane.listen([{ name: 'gateway/plain', side: 'gateway', host: '127.0.0.1', port: 0, portName: 'plain' }]);
  const endpoints = [{ id: 'orders-0', weight: 1, ports: [{ name: 'http', host: '127.0.0.1', port: app }] }];
  await plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial({ service: 'orders', endpoints })).finish()] });
  return { plane, port: bound?.port ?? 0 };
}

function ask(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path, agent: false, headers: { host: 'shop.example' } }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    }).once('error', reject);
  });
}

test('records say what the client asked for, the upstream gets what the route makes of it', async () => {
  const [seen, lines, refusals]: [string[], string[], RefusalRecord[]] = [[], [], []];
  const { port, plane } = await startGateway(await startApp(seen), lines, refusals);
  expect([await ask(port, '/api/a?x=1'), await ask(port, '/plain'), await ask(port, '/api/broken')]).toEqual([200, 200, 502]);
  plane.readSeries();
  await plane.close();
  expect(seen).toEqual(['inner.example /v2/a?x=1', 'shop.example /plain', 'inner.example /v2/broken']);
  const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(logged.map(({ host, path, query, upstreamPath }) => [host, path, query, upstreamPath])).toEqual([
    ['shop.example', '/api/a', 'x=1', '/v2/a'], ['shop.example', '/plain', undefined, undefined], ['shop.example', '/api/broken', undefined, '/v2/broken'],
  ]);
  expect(refusals.map(({ authority, path, reason }) => [authority, path, reason])).toEqual([['shop.example', '/api/broken', 'upstream-reset']]);
});

test('a host that is rewritten alone changes nothing else', async () => {
  const seen: string[] = [];
  const { port, plane } = await startGateway(await startApp(seen), [], []);
  expect(await ask(port, '/named/a?x=1')).toBe(200);
  await plane.close();
  expect(seen).toEqual(['inner.example /named/a?x=1']);
});
