import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { TestAuthority } from '@remora/testing/test-authority';
import { TlsRig, visit, type TlsRigOptions } from '../tls/testdata/tls-rig.ts';

const authority = new TestAuthority();
const stranger = new TestAuthority('somebody else');
const edge = authority.issue({ dns: ['edge.test'] });
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Seen {
  readonly serverName: string;
  readonly version: string;
  readonly cipher: string;
  readonly reused: boolean;
  readonly client: string;
}

/** An HTTPS server that remembers how it was called. */
async function server(options: https.ServerOptions): Promise<{ port: number; seen: Seen[]; connections: () => number }> {
  const seen: Seen[] = [];
  let connections = 0;
  const made = https.createServer(options, (request, response) => {
    const socket = request.socket as tls.TLSSocket & { servername?: string };
    seen.push({
      serverName: socket.servername || '', version: socket.getProtocol() ?? '', cipher: socket.getCipher().name, reused: socket.isSessionReused(),
      client: socket.getPeerX509Certificate()?.subject ?? '',
    });
    response.setHeader('connection', 'close');
    response.end('from upstream');
  });
  made.on('secureConnection', () => connections++);
  made.on('tlsClientError', () => {});
  return { port: await listening(made), seen, connections: () => connections };
}

async function listening(made: net.Server): Promise<number> {
  await new Promise<void>((resolve) => {
    made.listen(0, '127.0.0.1', resolve);
  });
  const sockets = new Set<net.Socket>();
  made.on('connection', (socket: net.Socket) => sockets.add(socket));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    made.close();
  });
  return (made.address() as net.AddressInfo).port;
}

async function rigFor(port: number, upstreamTls: TlsRigOptions['upstreamTls'] & {}, more: Partial<TlsRigOptions> = {}): Promise<TlsRig> {
  const rig = await TlsRig.start({ certificates: [edge], upstreamPort: port, upstreamTls, files: { '/ca.pem': authority.cert, '/other-ca.pem': stranger.cert }, ...more });
  closers.push(() => rig.close());
  return rig;
}

/** Status line, and the reason where Remora answered. */
async function ask(rig: TlsRig): Promise<string> {
  const { text } = await visit(rig.port);
  return [text.slice(9, 12), /x-remora-reason: ([\w-]+)/.exec(text)?.[1] ?? /from upstream/.exec(text)?.[0]].join(' ');
}

describe('TLS to an upstream', () => {
  it('asks for the server name, and is content with a certificate that names it', async () => {
    const { port, seen } = await server(authority.issue({ dns: ['app.test'] }));
    const rig = await rigFor(port, { serverName: 'app.test', caFiles: ['/ca.pem'] });
    expect(await ask(rig)).toBe('200 from upstream');
    expect(seen).toEqual([{ serverName: 'app.test', version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', reused: false, client: '' }]);
    expect(rig.counts()).toMatchObject({ upstreamTls_full: 1 });
  });

  it('without a server name the endpoint\'s address is what must be named', async () => {
    const { port, seen } = await server(authority.issue({ dns: ['localhost'], addresses: ['127.0.0.1'] }));
    expect(await ask(await rigFor(port, { caFiles: ['/ca.pem'] }))).toBe('200 from upstream');
    expect(await ask(await rigFor(port, { caFiles: ['/ca.pem'] }, { upstreamHost: 'localhost' }))).toBe('200 from upstream');
    // An address is not sent as a name (RFC 6066 section 3).
    expect(seen.map(({ serverName }) => serverName)).toEqual(['', 'localhost']);
    const other = await server(authority.issue({ dns: ['127.0.0.1'] }));
    expect(await ask(await rigFor(other.port, { caFiles: ['/ca.pem'] }))).toBe('503 upstream-tls-name');
  });

  it.each<[string, string, TlsRigOptions['upstreamTls'] & {}, string]>([
    ['an authority that is not configured', 'app.test', { caFiles: ['/other-ca.pem'] }, '503 upstream-tls-untrusted'],
    ['one of two authorities', 'app.test', { caFiles: ['/other-ca.pem', '/ca.pem'] }, '200 from upstream'],
    ['the roots of the system', 'app.test', {}, '503 upstream-tls-untrusted'],
    ['another name', 'other.test', { caFiles: ['/ca.pem'] }, '503 upstream-tls-name'],
    ['a wildcard', '*.shop.test', { caFiles: ['/ca.pem'], serverName: 'app.shop.test' }, '200 from upstream'],
    ['a wildcard over two labels', '*.example', { caFiles: ['/ca.pem'], serverName: 'a.b.example' }, '503 upstream-tls-name'],
    ['verify: none', 'other.test', { verify: 'none' }, '200 from upstream'],
    ['an accepted name', 'other.test', { caFiles: ['/ca.pem'], acceptedNames: ['x.test', 'other.test'] }, '200 from upstream'],
    ['accepted names instead of the server name', 'app.test', { caFiles: ['/ca.pem'], acceptedNames: ['x.test'] }, '503 upstream-tls-name'],
    ['files that cannot be read', 'app.test', { caFiles: ['/missing.pem'] }, '503 upstream-tls-configuration'],
  ])('%s', async (_name, dns, upstreamTls, expected) => {
    const { port } = await server(authority.issue({ dns: [dns] }));
    expect(await ask(await rigFor(port, { serverName: 'app.test', ...upstreamTls }))).toBe(expected);
  });

  it('a SPIFFE id can be the accepted name, as a whole', async () => {
    const { port } = await server(authority.issue({ uris: ['spiffe://shop.test/service/app'] }));
    expect(await ask(await rigFor(port, { serverName: 'app.test', caFiles: ['/ca.pem'], acceptedNames: ['spiffe://shop.test/service/app'] }))).toBe('200 from upstream');
    expect(await ask(await rigFor(port, { serverName: 'app.test', caFiles: ['/ca.pem'], acceptedNames: ['spiffe://shop.test/service/ap'] }))).toBe('503 upstream-tls-name');
  });

  it.each([
    ['a common name is no name', { commonName: 'app.test' }],
    ['NUL in a name', { dns: ['app.test', 'app.test\0.evil.test'] }],
    ['a name that is listed twice', { dns: ['app.test', 'app.test'] }],
  ])('%s', async (_name, names) => {
    const { port } = await server(authority.issue(names));
    expect(await ask(await rigFor(port, { serverName: 'app.test', caFiles: ['/ca.pem'] }))).toBe('503 upstream-tls-name');
  });

  it.each<[string, tls.TlsOptions]>([
    ['that has expired', authority.issue({ dns: ['app.test'], validTo: new Date(Date.now() - 1000) })],
    ['that is not valid yet', authority.issue({ dns: ['app.test'], validFrom: new Date(Date.now() + 3_600_000) })],
    ['for clients only', authority.issue({ dns: ['app.test'], usages: ['1.3.6.1.5.5.7.3.2'] })],
    ['that nobody vouches for but itself', new TestAuthority('app.test')],
  ])('a certificate %s is not trusted', async (_what, pair) => {
    const { port } = await server(pair);
    expect(await ask(await rigFor(port, { serverName: 'app.test', caFiles: ['/ca.pem'] }))).toBe('503 upstream-tls-untrusted');
  });

  it('the minimum version and the cipher suites are kept', async () => {
    const old = await server({ ...authority.issue({ dns: ['app.test'] }), maxVersion: 'TLSv1.2' });
    expect(await ask(await rigFor(old.port, { serverName: 'app.test', caFiles: ['/ca.pem'] }))).toBe('200 from upstream');
    expect(await ask(await rigFor(old.port, { serverName: 'app.test', caFiles: ['/ca.pem'], minVersion: '1.3' }))).toBe('503 upstream-tls-failed');
    const { port, seen } = await server(authority.issue({ dns: ['app.test'] }));
    expect(await ask(await rigFor(port, { serverName: 'app.test', caFiles: ['/ca.pem'], ciphers: ['TLS_CHACHA20_POLY1305_SHA256'] }))).toBe('200 from upstream');
    expect(seen).toMatchObject([{ cipher: 'TLS_CHACHA20_POLY1305_SHA256' }]);
  });

  it('shows its certificate to an upstream that asks for one', async () => {
    const { port, seen } = await server({ ...authority.issue({ dns: ['app.test'] }), ca: authority.cert, requestCert: true, rejectUnauthorized: true });
    const client = authority.issue({ commonName: 'the gateway' });
    const files = { '/ca.pem': authority.cert, '/client.crt': client.cert, '/client.key': client.key };
    const tlsOf = { serverName: 'app.test', caFiles: ['/ca.pem'], clientCertificate: { certFile: '/client.crt', keyFile: '/client.key' } };
    expect(await ask(await rigFor(port, tlsOf, { files }))).toBe('200 from upstream');
    expect(seen).toMatchObject([{ client: 'CN=the gateway' }]);
    expect(await ask(await rigFor(port, { serverName: 'app.test', caFiles: ['/ca.pem'] }))).toMatch(/^50[23] (upstream-tls-failed|upstream-reset)$/);
  });

  it('resumes sessions, but not under other settings', async () => {
    const { port, seen } = await server(authority.issue({ dns: ['app.test', 'b.test'] }));
    const rig = await rigFor(port, { serverName: 'app.test', caFiles: ['/ca.pem'] });
    const closing = 'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n';
    const callUntilResumed = async (): Promise<void> => {
      await expect.poll(async () => {
        await visit(rig.port, {}, closing);
        return seen.at(-1)?.reused;
      }, { timeout: 30_000 }).toBe(true);
    };
    await callUntilResumed();
    await rig.use({ certificates: [edge], upstreamPort: port, upstreamTls: { serverName: 'b.test', caFiles: ['/ca.pem'] } });
    await visit(rig.port);
    expect(seen.at(-1)).toMatchObject({ serverName: 'b.test', reused: false });
  });

  it('resumes no session of another endpoint, whatever name both are asked for', async () => {
    const { port, seen } = await server(authority.issue({ dns: ['app.test'] }));
    const upstreamTls = { serverName: 'app.test', caFiles: ['/ca.pem'] };
    const rig = await rigFor(port, upstreamTls);
    const closing = 'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n';
    await expect.poll(async () => {
      await visit(rig.port, {}, closing);
      return seen.at(-1)?.reused;
    }, { timeout: 30_000 }).toBe(true);
    const calls = seen.length;
    await rig.use({ certificates: [edge], upstreamPort: port, upstreamHost: 'localhost', upstreamTls });
    expect((await visit(rig.port, {}, closing)).text).toContain('from upstream');
    expect(seen.slice(calls)).toMatchObject([{ serverName: 'app.test', reused: false }]);
  });

  it.each([['leaves', (socket: net.Socket) => socket.end()], ['resets', (socket: net.Socket) => socket.resetAndDestroy()]] as const)('who %s within the handshake was there all the same', async (_how, cut) => {
    const cutting = net.createServer((socket) => void socket.on('error', () => {}).once('data', () => cut(socket)));
    expect(await ask(await rigFor(await listening(cutting), { serverName: 'app.test', caFiles: ['/ca.pem'] }))).toBe('503 upstream-tls-failed');
  });

  it('what speaks no TLS, and what says nothing, are told apart from what is not there', async () => {
    const plain = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.end('HTTP/1.1 200 OK\r\n\r\n');
    });
    expect(await ask(await rigFor(await listening(plain), { serverName: 'app.test', caFiles: ['/ca.pem'] }))).toBe('503 upstream-tls-failed');
    const unused = net.createServer();
    const port = await listening(unused);
    await new Promise((resolve) => {
      unused.close(resolve);
    });
    expect(await ask(await rigFor(port, { serverName: 'app.test', caFiles: ['/ca.pem'] }))).toBe('503 connect-failure');
  });

  it('certificates that change take effect for the next connection, and drop none', async () => {
    const { port, seen } = await server(authority.issue({ dns: ['app.test'] }));
    const rig = await rigFor(port, { serverName: 'app.test', caFiles: ['/ca.pem'] });
    expect(await ask(rig)).toBe('200 from upstream');
    rig.files.set('/ca.pem', stranger.cert);
    await rig.hand();
    expect(await ask(rig)).toBe('503 upstream-tls-untrusted');
    rig.files.set('/ca.pem', authority.cert);
    await rig.hand();
    expect(await ask(rig)).toBe('200 from upstream');
    expect(seen).toHaveLength(2);
  });
});

describe('ALPN to an upstream', () => {
  async function http2Server(allowHTTP1: boolean): Promise<{ port: number; versions: string[]; offered: string[][] }> {
    const versions: string[] = [];
    const offered: string[][] = [];
    const made = http2.createSecureServer({ ...authority.issue({ dns: ['app.test'] }), allowHTTP1 }, (request, response) => {
      versions.push(request.httpVersion);
      response.end('from upstream');
    });
    made.on('sessionError', () => {});
    return { port: await listening(made), versions, offered };
  }

  it.each<[string, boolean, TlsRigOptions['upstreamTls'] & {}, readonly string[], string, string]>([
    ['by default HTTP/1.1', true, {}, [], '200 from upstream', '1.1'],
    ['a port of protocol http2', true, {}, ['h2c'], '200 from upstream', '2.0'],
    ['h2 alone', true, { alpn: ['h2'] }, [], '200 from upstream', '2.0'],
    ['both: what the upstream prefers', true, { alpn: ['h2', 'http/1.1'] }, [], '200 from upstream', '2.0'],
    ['http/1.1 alone, where only h2 is spoken', false, { alpn: ['http/1.1'] }, [], '503 upstream-tls-failed', ''],
  ])('%s', async (_name, allowHTTP1, upstreamTls, upstreamProtocols, expected, version) => {
    const { port, versions } = await http2Server(allowHTTP1);
    const rig = await rigFor(port, { serverName: 'app.test', caFiles: ['/ca.pem'], ...upstreamTls }, { upstreamProtocols });
    expect(await ask(rig)).toBe(expected);
    expect(versions[0] ?? '').toBe(version);
    if (version !== '') expect(await Promise.all([ask(rig), ask(rig), ask(rig)])).toEqual([expected, expected, expected]);
  });

  it('h2 where the upstream speaks HTTP/1.1 only is refused; where both may be, HTTP/1.1 is spoken', async () => {
    const { port } = await server(authority.issue({ dns: ['app.test'] }));
    expect(await ask(await rigFor(port, { serverName: 'app.test', caFiles: ['/ca.pem'], alpn: ['h2'] }))).toBe('503 upstream-tls-failed');
    expect(await ask(await rigFor(port, { serverName: 'app.test', caFiles: ['/ca.pem'], alpn: ['h2', 'http/1.1'] }))).toBe('200 from upstream');
  });
});
