import { afterEach, expect, it, test } from 'vitest';
import type { DeepPartial, Inbound } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { runtimeKinds } from '../kinds.ts';
import { ExchangeClient, type TestProtocol } from '../testdata/exchange-client.ts';
import { ExchangeServer } from '../testdata/exchange-server.ts';
import { FrameServer, T, data, goAway, head } from '../testdata/frame-server.ts';
import { LocalDataPlane } from '../threads/local-data-plane.ts';
import { protocolOf } from './upstream-address.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

test.each<[readonly string[], string]>([
  [[], 'http1'], [['http/1.1'], 'http1'], [['http/1.1', 'h2c'], 'http2'], [['h2c'], 'http2'], [['h2'], 'http1'], [['something-new'], 'http1'],
])('an endpoint that advertises %j is spoken to by %s', (advertised, protocol) => {
  expect(protocolOf(advertised)).toBe(protocol);
});

async function inboundPlane(protocol: string, appPort: number): Promise<{ plane: LocalDataPlane; port: number; apply: (inbound: DeepPartial<Inbound>) => Promise<void> }> {
  const plane = new LocalDataPlane({ nodeId: 'orders-1', kinds: runtimeKinds });
  closers.push(() => plane.close());
  let index = 0;
  const apply = async (inbound: DeepPartial<Inbound>): Promise<void> => {
    const candidate = new CandidateBuilder({ kind: 'service', name: 'orders' }).inbound({ portName: 'main', port: 80, ...inbound }).build({ epoch: 1, index: ++index });
    const prepared = await plane.prepare(candidate);
    if (!prepared.ok) throw new Error(JSON.stringify(prepared.errors));
    await plane.swap(candidate.hash, candidate.version);
  };
  await apply({ protocol });
  const [bound] = await plane.listen([{ name: 'inbound/main', side: 'inbound', host: '127.0.0.1', port: 0, portName: 'main', app: { host: '127.0.0.1', port: appPort } }]);
  return { plane, port: bound?.port ?? 0, apply };
}

it.each<[string, TestProtocol]>([['http', 'http1'], ['http2', 'http2'], ['grpc', 'http2']])('an app whose port says %s is spoken to by %s, whatever its callers speak', async (protocol, spoken) => {
  const app = await ExchangeServer.start(spoken, (request, response) => {
    response.end(`${request.httpVersion} ${request.headers.host ?? ''}`);
  });
  closers.push(() => app.close());
  const { port } = await inboundPlane(protocol, app.port);
  for (const downstream of ['http1', 'http2'] as const) {
    const client = new ExchangeClient(downstream, port);
    closers.push(() => client.close());
    const answer = await client.fetch();
    expect([answer.status, answer.text.split(' ')[0]]).toEqual([200, spoken === 'http2' ? '2.0' : '1.1']);
  }
});

it('what the app refused without looking at it is made again, with its body', async () => {
  const app = await FrameServer.start(async (end, nth) => {
    const id = await end.request();
    const body = await end.frame(T.data);
    if (nth === 1) end.send(goAway(0));
    else end.send(head(id), data(id, `again: ${body?.payload.toString() ?? ''}`));
  });
  closers.push(() => app.close());
  const { port } = await inboundPlane('grpc', app.port);
  const client = new ExchangeClient('http2', port);
  closers.push(() => client.close());
  const answer = await client.fetch({ method: 'POST', body: 'message' });
  expect([answer.status, answer.text]).toEqual([200, 'again: message']);
});

it('an app that cannot be connected is not tried again', async () => {
  const app = await ExchangeServer.start('http2', () => {});
  const { plane, port } = await inboundPlane('grpc', app.port);
  app.close();
  const client = new ExchangeClient('http1', port);
  closers.push(() => client.close());
  const answer = await client.fetch();
  expect([answer.status, answer.headers['x-remora-reason']]).toEqual([503, 'connect-failure']);
  expect(plane.readSeries()[0]?.retries).toBe(0);
});

it('the word of a newer snapshot holds for the next request', async () => {
  const app = await ExchangeServer.start('http2', (_request, response) => {
    response.end('two');
  });
  closers.push(() => app.close());
  const { port, apply } = await inboundPlane('http', app.port);
  const client = new ExchangeClient('http1', port);
  closers.push(() => client.close());
  expect((await client.fetch()).status).toBe(502);
  await apply({ protocol: 'http2' });
  expect((await client.fetch()).text).toBe('two');
});
