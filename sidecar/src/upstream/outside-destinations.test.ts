import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ExchangeClient } from '../testdata/exchange-client.ts';
import { ExchangeServer } from '../testdata/exchange-server.ts';
import { MeshSidecar } from '../tls/testdata/mesh-rig.ts';
import { mayBeCalled } from './outside-lookup.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function web(unknownDestinations: string): Promise<{ sidecar: MeshSidecar; client: ExchangeClient; app: ExchangeServer }> {
  const sidecar = new MeshSidecar({ subject: { kind: 'service', name: 'web' } });
  open.push(sidecar);
  await sidecar.apply({ fleet: { unknownDestinations } });
  const app = await ExchangeServer.start('http1', (request, response) => response.end(`${request.headers.host} ${request.url}`));
  const client = new ExchangeClient('http1', await sidecar.listenOutbound());
  open.push(app, client);
  return { sidecar, client, app };
}

describe('hosts that no document declares', () => {
  it('are refused unless the Mesh lets them pass, and counted either way', async () => {
    const { sidecar, client, app } = await web('refuse');
    const host = `localhost:${app.port}`;
    const { status, headers } = await client.fetch({ path: '/a', headers: { host } });
    expect([status, headers['x-remora-reason']]).toEqual([502, 'unknown-destination']);
    await sidecar.apply({ fleet: { unknownDestinations: 'pass' } });
    for (let i = 0; i < 3; i++) expect((await client.fetch({ path: '/a', headers: { host } })).text).toBe(`${host} /a`);
    expect((await client.fetch({ path: '/b', headers: { host: `127.0.0.1:${app.port}` } })).text).toBe(`127.0.0.1:${app.port} /b`);
    expect(app.connections).toBe(2);
    expect(Object.fromEntries(sidecar.plane.readCallers())).toMatchObject({ [`u/${host}`]: 4, [`u/127.0.0.1:${app.port}`]: 1 });
  });

  it('are told apart up to a bound', async () => {
    const { sidecar, client } = await web('refuse');
    for (let i = 0; i < 140; i++) await client.fetch({ path: '/', headers: { host: `host-${i}.example` } });
    const counted = [...sidecar.plane.readCallers()].filter(([name]) => name.startsWith('u/'));
    expect(counted).toHaveLength(129);
    expect(Object.fromEntries(counted)['u/_other']).toBe(12);
  });

  it.each(['169.254.169.254', '169.254.169.254:80', '[fe80::1]', '[::ffff:169.254.169.254]', '[fd00:ec2::254]', '0.0.0.0', '0x7f.1:80:90', 'a b'])('%s is never called', async (host) => {
    const { client } = await web('pass');
    const answer = await client.fetch({ path: '/latest/meta-data', headers: { host } }).catch(() => null);
    expect(answer === null ? 400 : answer.status).toBeGreaterThanOrEqual(400);
    if (answer?.status === 502) expect(answer.headers['x-remora-reason']).toBe('unknown-destination');
  });

  it('get TLS that begins here, by a name that the system trusts', async () => {
    const { client } = await web('tls-originate');
    let hello: Buffer | null = null;
    const server = net.createServer((socket) => {
      socket.on('data', (chunk: Buffer) => {
        hello ??= chunk;
        socket.destroy();
      });
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.push(server);
    const { status } = await client.fetch({ path: '/', headers: { host: `localhost:${(server.address() as net.AddressInfo).port}` } });
    expect(status).toBe(503);
    expect((hello as Buffer | null)?.[0]).toBe(22);
    expect((hello as Buffer | null)?.includes('localhost')).toBe(true);
  });
});

it.each([['10.0.0.1', true], ['127.0.0.1', true], ['8.8.8.8', true], ['2001:db8::1', true], ['169.254.0.1', false], ['fe80::1', false], ['::', false], ['0.1.2.3', false], ['example.com', false]])('%s may be called: %s', (address, may) => {
  expect(mayBeCalled(address)).toBe(may);
});
