import { afterEach, describe, expect, it, vi } from 'vitest';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import type { WireEnd, WireUpstream } from '@remora/testing/wire-end';
import { runtimeKinds } from '../kinds.ts';
import type { SpanRecord } from '../records/span-record.ts';
import { TunnelEnds, switches, upgradeRequest } from '../testdata/tunnel-ends.ts';
import { LocalDataPlane } from '../threads/local-data-plane.ts';

const ends = new TunnelEnds();
afterEach(() => ends.close());

/** A sidecar of `shop` that records spans, with the TCP destination `db` and the destination `chat`, both at `up`. */
async function start(up: WireUpstream, ratio = 1): Promise<{ readonly plane: LocalDataPlane; readonly toDb: number; readonly outbound: number }> {
  const plane = new LocalDataPlane({ nodeId: 'shop-1', kinds: runtimeKinds, spans: { ratio } });
  ends.later(() => plane.close());
  const builder = new CandidateBuilder({ kind: 'service', name: 'shop' }).fleet({ connect: 'declared' });
  builder.destination({ service: 'db', ports: [{ name: 'sql', port: 5432, protocol: 'tcp' }] }).destination({ service: 'chat' });
  const candidate = builder.build();
  expect(await plane.prepare(candidate)).toMatchObject({ ok: true });
  await plane.swap(candidate.hash, candidate.version);
  const sets = [['db', 'sql'], ['chat', 'http']].map(([service, name]) => EndpointSet.encode(EndpointSet.fromPartial({ service: service ?? '', endpoints: [{ id: 'one', weight: 1, ports: [{ name: name ?? '', host: '127.0.0.1', port: up.port }] }] })).finish());
  await plane.applyEndpoints({ full: true, removed: [], sets });
  const [toDb, outbound] = await plane.listen([{ name: 'outbound/db', side: 'outbound', host: '127.0.0.1', port: 0, destination: 'db' }, { name: 'outbound', side: 'outbound', host: '127.0.0.1', port: 0 }]);
  return { plane, toDb: toDb?.port ?? 0, outbound: outbound?.port ?? 0 };
}

async function spansOf(plane: LocalDataPlane, count: number): Promise<readonly SpanRecord[]> {
  const spans: SpanRecord[] = [];
  await vi.waitFor(() => {
    spans.push(...plane.takeSpans(100));
    expect(spans).toHaveLength(count);
  }, { timeout: 10_000 });
  return spans;
}

async function talk(client: WireEnd, up: WireUpstream): Promise<void> {
  client.send('hello');
  const app = await up.connection(1);
  await app.untilText('hello');
  app.send('world!');
  await client.untilText('world!');
  // One side first: the spans last until both have ended.
  app.end();
  await client.until(() => client.state === 'end');
  client.end();
}

describe('a tunnel', () => {
  it('over a port for one destination has a span of its whole life, and one for the attempt', async () => {
    const up = await ends.upstream(() => {});
    const { plane, toDb } = await start(up);
    await talk(await ends.client(toDb), up);
    const spans = await spansOf(plane, 2);
    const server = spans.find(({ kind }) => kind === 'server');
    const client = spans.find(({ kind }) => kind === 'client');
    expect(server).toMatchObject({ side: 'outbound', protocol: 'tcp', route: 'tcp/sql', destination: 'db', status: 200, bytesIn: 5, bytesOut: 6, attempts: 1, parentId: '', reason: '' });
    expect(client).toMatchObject({ protocol: 'tcp', destination: 'db', status: 200, endpoint: 'one', address: `127.0.0.1:${up.port}`, traceId: server?.traceId, parentId: server?.spanId });
  });

  it('by CONNECT continues the trace of its client', async () => {
    const up = await ends.upstream(() => {});
    const { plane, outbound } = await start(up);
    const client = await ends.client(outbound);
    const [traceId, parentId] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
    client.send(`CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\ntraceparent: 00-${traceId}-${parentId}-01\r\n\r\n`);
    await client.untilText('\r\n\r\n');
    await talk(client, up);
    const spans = await spansOf(plane, 2);
    const server = spans.find(({ kind }) => kind === 'server');
    expect(server).toMatchObject({ method: 'CONNECT', authority: 'db:5432', protocol: '1.1', status: 200, traceId, parentId, bytesIn: 5, bytesOut: 6 });
    expect(spans.find(({ kind }) => kind === 'client')).toMatchObject({ protocol: 'tcp', traceId, parentId: server?.spanId });
  });

  it('of a WebSocket: the attempt lasts as long as the exchange', async () => {
    const up = await ends.upstream(switches);
    const { plane, outbound } = await start(up);
    const client = await ends.client(outbound);
    client.send(upgradeRequest().replace('Host: a', 'Host: chat'));
    await client.untilText('\r\n\r\n');
    await talk(client, up);
    const [first, second] = await spansOf(plane, 2);
    expect([first?.kind, second?.kind]).toEqual(['client', 'server']);
    expect(second).toMatchObject({ method: 'GET', status: 101, bytesIn: 5, bytesOut: 6 });
    expect(Math.abs((first?.startMs ?? 0) + (first?.durationMs ?? 0) - (second?.startMs ?? 0) - (second?.durationMs ?? 0))).toBeLessThan(50);
  });

  it('that cannot be made says why, in both spans', async () => {
    const gone = await ends.upstream(() => {});
    gone.close();
    const { plane, toDb } = await start(gone);
    await (await ends.client(toDb)).untilClosed();
    for (const span of await spansOf(plane, 2)) expect(span).toMatchObject({ protocol: 'tcp', reason: 'connect-failure', status: 0 });
  });

  it('is not recorded where its trace is not', async () => {
    const up = await ends.upstream(() => {});
    const { plane, toDb } = await start(up, 0);
    await talk(await ends.client(toDb), up);
    await vi.waitFor(() => expect(plane.readSeries()).toMatchObject([{ requests: 1 }]));
    expect(plane.takeSpans(100)).toEqual([]);
  });
});
