import tls from 'node:tls';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ManualClock } from '@remora/testing/manual-clock';
import { TestAuthority, type TestCertificate } from '@remora/testing/test-authority';
import { ExchangeClient } from '../testdata/exchange-client.ts';
import { ExchangeServer } from '../testdata/exchange-server.ts';
import { instanceAt, MeshAuthority, MeshSidecar } from './testdata/mesh-rig.ts';

const authority = new MeshAuthority();
let app: ExchangeServer;
const open: { close(): unknown }[] = [];

beforeEach(async () => {
  app = await ExchangeServer.start('http1', (request, response) => {
    response.end(JSON.stringify({ path: request.url, cert: request.headers['x-forwarded-client-cert'] ?? null, alias: request.headers['x_forwarded_client_cert'] ?? null }));
  });
  open.push(app);
});

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

interface Pair {
  readonly web: MeshSidecar;
  readonly orders: MeshSidecar;
  readonly inbound: number;
  readonly client: ExchangeClient;
}

interface PairOptions {
  readonly mtls?: Parameters<MeshSidecar['apply']>[0]['mtls'] & {};
  readonly shadow?: boolean;
  readonly protocols?: readonly string[];
  readonly identify?: boolean;
  readonly clock?: ManualClock;
}

/** web calls orders, each through its sidecar. */
async function pair({ mtls, shadow = false, protocols = ['http/1.1', 'h2c'], identify = true, clock }: PairOptions = {}): Promise<Pair> {
  const orders = new MeshSidecar({ subject: { kind: 'service', name: 'orders' }, ...(clock && { clock }) });
  const web = new MeshSidecar({ subject: { kind: 'service', name: 'web' }, ...(clock && { clock }) });
  open.push(orders, web);
  if (identify) {
    await orders.identify(authority);
    await web.identify(authority);
  }
  await orders.apply({ ports: { http: 'http' }, ...(mtls && { mtls }), shadow });
  await web.apply({ ports: { http: 'http' }, destinations: ['orders'] });
  const inbound = await orders.listenInbound('http', app.port);
  await web.reach('orders', instanceAt(inbound, { protocols }));
  const client = new ExchangeClient('http1', await web.listenOutbound());
  open.push(client);
  return { web, orders, inbound, client };
}

const call = async (client: ExchangeClient, headers: Readonly<Record<string, string>> = {}): Promise<{ status: number; reason: unknown; body: { cert?: string | null; alias?: string | null } }> => {
  const { status, headers: fields, text } = await client.fetch({ path: '/a', headers: { host: 'orders', ...headers } });
  return { status, reason: fields['x-remora-reason'], body: status === 200 ? JSON.parse(text) as { cert: string | null } : {} };
};

describe('mTLS between two sidecars', () => {
  it.each([[['http/1.1', 'h2c']], [['http/1.1']]])('carries requests over %j, and tells the app who called', async (protocols) => {
    const { client, orders, web } = await pair({ mtls: { mode: 'strict' }, protocols });
    const { status, body } = await call(client, { 'x-forwarded-client-cert': 'URI=spiffe://shop.example/service/admin', x_forwarded_client_cert: 'forged' });
    expect(status).toBe(200);
    expect(body.cert).toMatch(/^By=spiffe:\/\/shop\.example\/service\/orders;Hash=[0-9a-f]{64};URI=spiffe:\/\/shop\.example\/service\/web$/);
    expect(body.alias).toBeNull();
    for (let i = 0; i < 5; i++) expect((await call(client)).status).toBe(200);
    expect(orders.counts()).toMatchObject({ 'tls_full-TLSv1.3': 1 });
    expect(web.counts()).toMatchObject({ upstreamTls_full: 1 });
  });

  it('is not made with instances that do not announce it, nor without an identity of our own', async () => {
    const { client, web, orders, inbound } = await pair();
    await web.reach('orders', instanceAt(inbound, { mtls: false }));
    expect((await call(client)).body.cert).toBeNull();
    await web.reach('orders', instanceAt(inbound, { plaintext: true }));
    expect((await call(client)).body.cert).toBeNull();
    expect(orders.counts()['tls_full-TLSv1.3']).toBeUndefined();
    await web.reach('orders', instanceAt(inbound));
    expect((await call(client)).body.cert).toContain('service/web');
  });

  it('begins when the identity comes, and not before', async () => {
    const { client, web, orders } = await pair({ identify: false });
    expect((await call(client)).body.cert).toBeNull();
    await orders.identify(authority);
    expect((await call(client)).body.cert).toBeNull();
    await web.identify(authority);
    expect((await call(client)).body.cert).toContain('URI=spiffe://shop.example/service/web');
  });

  it('strict refuses the next request of a plaintext connection, and names field and policy', async () => {
    const { orders, inbound } = await pair();
    const plain = new ExchangeClient('http1', inbound);
    open.push(plain);
    expect((await call(plain)).status).toBe(200);
    await orders.apply({ ports: { http: 'http' }, mtls: { mode: 'strict' } });
    expect(await call(plain)).toMatchObject({ status: 403, reason: 'mtls-required' });
    await vi.waitFor(() => expect(orders.refusals).toMatchObject([{ reason: 'mtls-required', kind: 'mtls', pointer: '/mode', policy: 'sets-mtls', responseFlag: 'UAEX' }]));
    await orders.apply({ ports: { http: 'http' }, mtls: { mode: 'strict', ports: { http: 'permissive' } } });
    expect((await call(plain)).status).toBe(200);
  });

  it('strict in shadow counts whom it would refuse', async () => {
    const { orders, inbound } = await pair({ mtls: { mode: 'strict' }, shadow: true });
    const plain = new ExchangeClient('http1', inbound);
    open.push(plain);
    expect((await call(plain)).status).toBe(200);
    await vi.waitFor(() => expect(orders.refusals).toMatchObject([{ reason: 'mtls-required', shadow: true }]));
  });

  it('strict without an identity refuses everybody', async () => {
    const { client } = await pair({ mtls: { mode: 'strict' }, identify: false });
    expect(await call(client)).toMatchObject({ status: 403, reason: 'mtls-required' });
  });

  it('a caller over TLS without a certificate counts as plaintext', async () => {
    const { inbound } = await pair({ mtls: { mode: 'strict' } });
    expect(await raw(inbound, {})).toContain('HTTP/1.1 403');
    expect(await raw(inbound, { ALPNProtocols: ['h2'] }, '')).toBe('h2');
  });

  it('disabled answers no ClientHello', async () => {
    const { inbound } = await pair({ mtls: { mode: 'disabled' } });
    await expect(raw(inbound, {})).rejects.toThrow(/wrong version number|closed|ECONNRESET/);
  });

  it('a new certificate is used from the next handshake on; nobody is cut', async () => {
    const { client, web, orders } = await pair({ mtls: { mode: 'strict' } });
    expect((await call(client)).status).toBe(200);
    await web.identify(authority);
    await orders.identify(authority);
    for (let i = 0; i < 3; i++) expect((await call(client)).status).toBe(200);
    expect(orders.counts()['tls_full-TLSv1.3']).toBe(2);
  });

  it('a revoked caller is refused at its next request, on the connection that it has', async () => {
    const { client, web, orders } = await pair({ mtls: { mode: 'strict' } });
    const own = authority.issue('service/web');
    await web.identify(authority, own);
    expect((await call(client)).status).toBe(200);
    await orders.revoke('shop.example', own);
    expect(await call(client)).toMatchObject({ status: 421, reason: 'certificate-outdated' });
    expect((await call(client)).status).not.toBe(200);
    await web.identify(authority);
    await vi.waitFor(async () => expect((await call(client)).status).toBe(200));
    expect(orders.counts()['tls_refused-certificate-revoked']).toBeGreaterThan(0);
  });

  it('a revoked instance is cut off, and not resumed', async () => {
    const { client, web, orders } = await pair();
    const own = authority.issue('service/orders');
    await orders.identify(authority, own);
    expect((await call(client)).status).toBe(200);
    await web.revoke('shop.example', own);
    expect(await call(client)).toMatchObject({ status: 503, reason: 'upstream-identity' });
    await orders.identify(authority);
    await vi.waitFor(async () => expect((await call(client)).status).toBe(200), { timeout: 30_000, interval: 50 });
    expect(web.counts()).toMatchObject({ upstreamTls_revoked: 1 });
  });

  it('an expired certificate ends its connection with the next request', async () => {
    const clock = new ManualClock(Date.now());
    const { client, web } = await pair({ clock });
    await web.identify(authority, authority.issue('service/web', { validTo: new Date(Date.now() + 3_600_000) }));
    expect((await call(client)).status).toBe(200);
    clock.advance(2 * 3_600_000);
    expect(await call(client)).toMatchObject({ status: 421, reason: 'certificate-outdated' });
  });

  it('roots roll with overlap: both are believed, then one is not any more', async () => {
    const { client, web, orders } = await pair({ mtls: { mode: 'strict' } });
    const next = new MeshAuthority();
    for (const one of [web, orders]) await one.trust('shop.example', [authority.root, next.root]);
    expect((await call(client)).status).toBe(200);
    const signed = next.issue('service/web');
    await web.identify(authority, signed);
    await web.trust('shop.example', [authority.root, next.root]);
    expect((await call(client)).status).toBe(200);
    await orders.trust('shop.example', [authority.root]);
    expect(await call(client)).toMatchObject({ status: 421, reason: 'certificate-outdated' });
  });
});

describe('what an instance may show', () => {
  const other = new MeshAuthority('elsewhere.example');
  const hour = 3_600_000;
  const cases: readonly [string, () => TestCertificate][] = [
    ['expired', () => authority.issue('service/orders', { validFrom: new Date(Date.now() - 2 * hour), validTo: new Date(Date.now() - hour) })],
    ['not valid yet', () => authority.issue('service/orders', { validFrom: new Date(Date.now() + hour) })],
    ['for clients only', () => authority.issue('service/orders', { usages: ['1.3.6.1.5.5.7.3.2'] })],
    ['of another trust domain', () => other.issue('service/orders')],
    ['of another trust domain, signed by ours', () => authority.issue('service/orders', { uris: ['spiffe://elsewhere.example/service/orders'] })],
    ['an authority as leaf', () => authority.issue('service/orders', { authority: true })],
    ['two URI names', () => authority.issue('service/orders', { uris: ['spiffe://shop.example/service/orders', 'spiffe://shop.example/service/web'] })],
    ['a NUL in its name', () => authority.issue('service/orders', { uris: ['spiffe://shop.example/service/orders\0.evil'] })],
    ['a NUL in another name', () => authority.issue('service/orders', { dns: ['orders\0.evil'] })],
    ['an id that is not canonical', () => authority.issue('service/orders', { uris: ['spiffe://shop.example/service//orders'] })],
    ['no id', () => authority.issue('service/orders', { uris: [] })],
    ['of another service', () => authority.issue('service/web')],
    ['of a gateway of that name', () => authority.issue('gateway/orders')],
    ['signed by nobody known', () => new TestAuthority('nobody').issue({ uris: ['spiffe://shop.example/service/orders'] })],
  ];

  it.each(cases)('%s: upstream-identity, and never plaintext', async (_name, make) => {
    const { client, orders, inbound } = await pair();
    await orders.identify(authority, make());
    const before = app.requests;
    expect(await call(client)).toMatchObject({ status: 503, reason: 'upstream-identity' });
    expect(app.requests).toBe(before);
    expect(inbound).toBeGreaterThan(0);
  });

  it('also a certificate of an intermediate authority, where it shows that', async () => {
    const { client, orders } = await pair();
    const between = new TestAuthority('between', authority.root);
    await orders.identify(authority, authority.issue('service/orders', { by: between }), [between]);
    expect((await call(client)).status).toBe(200);
  });
});

describe('what a caller may show', () => {
  const other = new MeshAuthority('partner.example');
  const hour = 3_600_000;
  const cases: readonly [string, () => TestCertificate, string][] = [
    ['expired', () => authority.issue('service/web', { validFrom: new Date(Date.now() - 2 * hour), validTo: new Date(Date.now() - hour) }), 'certificate-expired'],
    ['not valid yet', () => authority.issue('service/web', { validFrom: new Date(Date.now() + hour) }), 'certificate-early'],
    ['for servers only', () => authority.issue('service/web', { usages: ['1.3.6.1.5.5.7.3.1'] }), 'certificate-usage'],
    ['of another trust domain', () => other.issue('service/web'), 'trust-domain'],
    ['an authority as leaf', () => authority.issue('service/web', { authority: true }), 'certificate-authority'],
    ['two URI names', () => authority.issue('service/web', { uris: ['spiffe://shop.example/service/web', 'spiffe://shop.example/service/admin'] }), 'certificate-names'],
    ['a NUL in its name', () => authority.issue('service/web', { uris: ['spiffe://shop.example/service/web\0'] }), 'certificate-names'],
    ['no id', () => authority.issue('service/web', { uris: [] }), 'certificate-names'],
    ['signed by nobody known', () => new TestAuthority('nobody').issue({ uris: ['spiffe://shop.example/service/web'] }), 'certificate-untrusted'],
  ];

  it.each(cases)('%s: refused also where nothing is required', async (_name, make, code) => {
    const { orders, inbound } = await pair();
    const { cert, key } = make();
    await raw(inbound, { cert, key }).catch(() => {});
    await vi.waitFor(() => expect(orders.counts()[`tls_refused-${code}`]).toBe(1));
    expect(app.requests).toBe(0);
  });

  it('of another trust domain that is accepted, whose roots are known', async () => {
    const { orders, inbound } = await pair({ mtls: { mode: 'strict', trustDomains: ['partner.example'] } });
    const { cert, key } = other.issue('service/web');
    await raw(inbound, { cert, key }).catch(() => {});
    await vi.waitFor(() => expect(orders.counts()['tls_refused-trust-domain']).toBe(1));
    await orders.trust('partner.example', [other.root]);
    expect(await raw(inbound, { cert, key })).toContain('HTTP/1.1 200');
    // Roots of the one domain say nothing about the other.
    const forged = other.issue('service/web', { uris: ['spiffe://shop.example/service/web'] });
    await raw(inbound, forged).catch(() => {});
    await vi.waitFor(() => expect(orders.counts()['tls_refused-certificate-untrusted']).toBe(1));
  });
});

/** What a client of OpenSSL hears, or the protocol where it says nothing. */
function raw(port: number, options: tls.ConnectionOptions, request = 'GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n'): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    socket.on('secureConnect', () => {
      if (request === '') {
        resolve(socket.alpnProtocol || '');
        socket.destroy();
      } else socket.write(request);
    });
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', reject);
    socket.on('close', () => (text === '' ? reject(new Error('closed without a word')) : resolve(text)));
  });
}
