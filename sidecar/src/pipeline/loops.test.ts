import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { afterEach, describe, expect, test } from 'vitest';
import { LocalDataPlane } from '../threads/local-data-plane.ts';
import type { RefusalRecord } from '../threads/data-plane.ts';
import { passesMax } from './hop-list.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A gateway on a real socket; `endpoints` are told afterwards. Loopback is no trusted proxy: every pass comes from a stranger. */
class Gateway {
  readonly plane: LocalDataPlane;
  readonly refusals: RefusalRecord[] = [];
  readonly #name: string;
  port = 0;

  constructor(name: string) {
    this.#name = name;
    this.plane = new LocalDataPlane({ nodeId: `Gateway/${name}`, kinds: new Map() });
    this.plane.onRefusal((refusal) => this.refusals.push(refusal));
  }

  async start(): Promise<void> {
    closers.push(() => this.plane.close());
    const builder = new CandidateBuilder({ kind: 'gateway', name: this.#name }).fleet().listener({ name: 'plain' }).destination({ service: 'orders' });
    const candidate = builder.route({ name: 'all', match: { path: { kind: { $case: 'prefix', value: '/' } } } }).build({ epoch: 1, index: 1 });
    expect(await this.plane.prepare(candidate)).toMatchObject({ ok: true });
    await this.plane.swap(candidate.hash, candidate.version);
    const [bound] = await this.plane.listen([{ name: 'gateway/plain', side: 'gateway', host: '127.0.0.1', port: 0, portName: 'plain' }]);
    this.port = bound?.port ?? 0;
  }

  async leadTo(port: number): Promise<void> {
    const endpoints = [{ id: 'orders-0', weight: 1, ports: [{ name: 'http', host: '127.0.0.1', port }] }];
    await this.plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial({ service: 'orders', endpoints })).finish()] });
  }

  get requests(): number {
    return this.plane.readSeries().reduce((sum, { requests }) => sum + requests, 0);
  }
}

async function gateway(name: string): Promise<Gateway> {
  const made = new Gateway(name);
  await made.start();
  return made;
}

function ask(port: number, headers: http.OutgoingHttpHeaders = {}): Promise<{ readonly status: number; readonly headers: http.IncomingHttpHeaders; readonly body: string }> {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path: '/x', agent: false, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => { body += text; })
        .once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    }).once('error', reject);
  });
}

async function app(): Promise<number> {
  const server = http.createServer((request, response) => response.end(JSON.stringify(request.headers)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

describe('a request that goes round in circles', () => {
  test.each([['as it is', {}], ['with a forged alias', { 'x_remora_hop': '0', 'x-remora-attempt': '9' }], ['with a forged list', { 'x-remora-hop': 'nonsense' }]])('through one gateway ends with 508: %s', async (_title, headers) => {
    const edge = await gateway('edge');
    await edge.leadTo(edge.port);
    const { status, headers: answered } = await ask(edge.port, headers);
    expect([status, answered['x-remora-reason']]).toEqual([508, 'loop-detected']);
    expect(edge.requests).toBe(passesMax + 1);
    expect(edge.refusals.map(({ reason }) => reason)).toEqual(['loop-detected']);
  });

  test('through two gateways ends as well', async () => {
    const [one, two] = [await gateway('one'), await gateway('two')];
    await one.leadTo(two.port);
    await two.leadTo(one.port);
    expect((await ask(one.port)).status).toBe(508);
    expect([one.requests, two.requests]).toEqual([passesMax + 1, passesMax]);
  });

  test('is not one that passes several gateways in a line', async () => {
    const gateways = await Promise.all(Array.from({ length: 6 }, (_, i) => gateway(`g${i}`)));
    const ports = [...gateways.slice(1).map(({ port }) => port), await app()];
    await Promise.all(gateways.map((one, i) => one.leadTo(ports[i] ?? 0)));
    const { status, body } = await ask(gateways[0]?.port ?? 0);
    expect(status).toBe(200);
    expect((JSON.parse(body) as Record<string, string>)['x-remora-hop']?.split(',')).toHaveLength(6);
  });
});
