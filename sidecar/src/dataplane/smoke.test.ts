import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { runtimeKinds } from '../kinds.ts';
import { LocalDataPlane } from './local-data-plane.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => { for (const close of closers.splice(0).reverse()) await close(); });

it('forwards', async () => {
  const app = http.createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (c) => chunks.push(c));
    req.on('end', () => res.end(JSON.stringify({ url: req.url, headers: req.headers, body: Buffer.concat(chunks).toString() })));
  });
  await new Promise<void>((r) => { app.listen(0, '127.0.0.1', r); });
  closers.push(() => { app.closeAllConnections(); app.close(); });
  const port = (app.address() as AddressInfo).port;
  const plane = new LocalDataPlane({ nodeId: 'n1', kinds: runtimeKinds });
  closers.push(() => plane.close());
  const [bound] = await plane.listen([{ name: 'gateway/plain', side: 'gateway', host: '127.0.0.1', port: 0, portName: 'plain' }]);
  const candidate = new CandidateBuilder({ kind: 'gateway', name: 'edge' }).fleet().listener({ name: 'plain' }).destination({ service: 'orders' }).route({ name: 'r', match: { path: { kind: { $case: 'prefix', value: '/' } } } }).build();
  await plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial({ service: 'orders', endpoints: [{ id: 'a', weight: 1, ports: [{ name: 'http', host: '127.0.0.1', port }] }] })).finish()] });
  expect(await plane.prepare(candidate)).toMatchObject({ ok: true });
  await plane.swap(candidate.hash, candidate.version);
  const url = `http://127.0.0.1:${bound!.port}`;
  const first = await fetch(`${url}/hello?x=1`);
  console.log(first.status, await first.text());
  const second = await fetch(`${url}/hello`, { method: 'POST', body: 'abc' });
  console.log(second.status, await second.text());
  const third = await fetch(`${url}/a/%2e%2e/hello`, { method: 'POST', body: 'abc' });
  console.log(third.status, await third.text());
  const fourth = await fetch(`${url}/a//hello`);
  console.log(fourth.status, fourth.headers, await fourth.text());
  console.log(JSON.stringify(await plane.describe()), plane.readSeries().map((s) => [s.side, s.route, s.destination, s.requests]));
});
