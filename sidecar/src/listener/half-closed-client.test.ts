import { requestLimitsAuthoring } from '@remora/policy-request-limits/compile';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { effectiveSection } from '@remora/testing/effective-section';
import type { WireUpstream } from '@remora/testing/wire-end';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { runtimeKinds } from '../kinds.ts';
import { TunnelEnds, switches, upgradeRequest } from '../testdata/tunnel-ends.ts';
import type { RefusalRecord } from '../threads/data-plane.ts';
import { LocalDataPlane } from '../threads/local-data-plane.ts';

const ends = new TunnelEnds();
afterEach(() => ends.close());

/** The own app of `orders`, before it a port whose clients' FINs mean what `halfClose` says. */
async function start(app: WireUpstream, halfClose: 'serve' | 'cancel'): Promise<{ readonly plane: LocalDataPlane; readonly port: number; readonly refusals: RefusalRecord[] }> {
  const plane = new LocalDataPlane({ nodeId: 'n-1', kinds: runtimeKinds });
  ends.later(() => plane.close());
  const refusals: RefusalRecord[] = [];
  plane.onRefusal((refusal) => refusals.push(refusal));
  const builder = new CandidateBuilder({ kind: 'service', name: 'orders' }).fleet();
  const { minFormat, body } = requestLimitsAuthoring.compile(effectiveSection(requestLimitsAuthoring, { halfClose }));
  const candidate = builder.inbound({ portName: 'http', settings: builder.settings({ kind: 'requestLimits', minFormat, body: Buffer.from(body) }) }).build();
  expect(await plane.prepare(candidate)).toMatchObject({ ok: true });
  await plane.swap(candidate.hash, candidate.version);
  const [bound] = await plane.listen([{ name: 'inbound', side: 'inbound', host: '127.0.0.1', port: 0, portName: 'http', app: { host: '127.0.0.1', port: app.port } }]);
  return { plane, port: bound?.port ?? 0, refusals };
}

const ask = 'GET /slow HTTP/1.1\r\nHost: orders\r\n\r\n';
const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone';

describe('a client that ends its side behind a whole request', () => {
  it('is served: its app may take its time', async () => {
    const app = await ends.upstream(() => {});
    const { port } = await start(app, 'serve');
    const client = await ends.client(port);
    client.send(ask);
    client.end();
    const call = await app.connection(1);
    await call.untilText('\r\n\r\n');
    expect(client.state).toBe('open');
    call.send(answer);
    await client.untilClosed();
    expect([client.state, client.text.slice(0, 15), client.text.slice(-4)]).toEqual(['end', 'HTTP/1.1 200 OK', 'done']);
  });

  it('that has closed the other one too is noticed at the answer, and its call ends', async () => {
    const app = await ends.upstream(() => {});
    const { plane, port } = await start(app, 'serve');
    const client = await ends.client(port);
    client.send(ask);
    const call = await app.connection(1);
    await call.untilText('\r\n\r\n');
    client.close();
    call.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    // The first bytes are answered with a reset; whatever is written after it finds nobody.
    await vi.waitFor(() => {
      if (call.state === 'open') call.send('4\r\nmore\r\n');
      expect(call.state).not.toBe('open');
    }, { timeout: 30_000 });
    await vi.waitFor(() => expect(plane.readSeries()).toMatchObject([{ requests: 1, active: 0 }]));
  });

  it('has left, where the port says so: its call is cancelled at once, and pipelined requests with it', async () => {
    const app = await ends.upstream(() => {});
    const { plane, port, refusals } = await start(app, 'cancel');
    const client = await ends.client(port);
    client.send(ask);
    const call = await app.connection(1);
    await call.untilText('\r\n\r\n');
    client.send(ask);
    client.end();
    await call.untilClosed();
    await client.untilClosed();
    expect(client.text).toBe('');
    await vi.waitFor(() => {
      expect(plane.readSeries()).toMatchObject([{ requests: 1, active: 0 }]);
      expect(refusals).toMatchObject([{ reason: 'downstream-reset', status: 0 }]);
    });
    expect(app.connections).toHaveLength(1);
  });

  it('has left in the middle of an answer: nothing that came can be taken for all of it', async () => {
    const app = await ends.upstream(() => {});
    const { port } = await start(app, 'cancel');
    const client = await ends.client(port);
    client.send(ask.replace('1.1', '1.0'));
    const call = await app.connection(1);
    await call.untilText('\r\n\r\n');
    call.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n');
    await client.untilText('first');
    client.end();
    await client.untilClosed();
    expect(client.state).toBe('reset');
    await call.untilClosed();
  });

  it('behind a switch of protocols has ended one direction, whatever the port says', async () => {
    const app = await ends.upstream(switches);
    const { port } = await start(app, 'cancel');
    const client = await ends.client(port);
    client.send(upgradeRequest());
    await client.untilText('\r\n\r\n');
    const far = await app.connection(1);
    client.send('last words');
    client.end();
    await far.untilText('last words');
    far.send('an answer');
    far.end();
    await client.untilClosed();
    expect([client.state, client.text.endsWith('an answer')]).toEqual(['end', true]);
  });
});
