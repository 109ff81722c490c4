import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TestAuthority, type TestCertificateOptions } from '@remora/testing/test-authority';
import { ClientHelloReader } from '@remora/http/first-bytes/client-hello-reader';
import { TlsRig, factsIn, visit, type TlsRigOptions } from '../tls/testdata/tls-rig.ts';

const authority = new TestAuthority();
const other = new TestAuthority('somebody else');
const shop = authority.issue({ dns: ['shop.test'] });
let rigs: TlsRig[] = [];

afterEach(async () => {
  await Promise.all(rigs.map((rig) => rig.close()));
  rigs = [];
});

async function start(options: Partial<TlsRigOptions> = {}): Promise<TlsRig> {
  const rig = await TlsRig.start({ certificates: [shop], ...options });
  rigs.push(rig);
  return rig;
}

/** Waits until something was counted under the name. */
async function counts(rig: TlsRig, name: string): Promise<void> {
  await expect.poll(() => rig.counts()[name] ?? 0).toBeGreaterThan(0);
}

describe('a handshake', () => {
  it('is followed by the request, and its facts are known', async () => {
    const rig = await start();
    const got = await visit(rig.port, { servername: 'Shop.TEST', ca: authority.cert });
    expect(got).toMatchObject({ error: '', protocol: 'TLSv1.3', shown: 'shop.test' });
    expect(got.text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*hello$/);
    expect(factsIn(got.text)).toMatchObject({ tls: true, serverName: 'shop.test', principal: '', peerAddress: '127.0.0.1' });
    expect(rig.counts()).toMatchObject({ 'tls_full-TLSv1.3': 1 });
  });

  it.each([['X25519', 1], ['X25519MLKEM768', 1], ['X25519', 7], ['X25519MLKEM768', 1000]])('works with a hello of %s in segments of %i bytes', async (ecdhCurve, size) => {
    const rig = await start();
    const got = await visit(await slicing(rig.port, size), { servername: 'shop.test', ecdhCurve });
    expect(got).toMatchObject({ error: '', shown: 'shop.test' });
    expect(got.text).toContain('hello');
  });

  it('works with a hello in records of 50 bytes', async () => {
    const rig = await start();
    const got = await visit(await slicing(rig.port, 64, inSmallRecords), { servername: 'shop.test', maxVersion: 'TLSv1.2' });
    expect(got).toMatchObject({ error: '', shown: 'shop.test' });
  });

  it('bodies of many records arrive whole in both directions, while other connections write', async () => {
    const upstream = await echoServer();
    const rig = await start({ upstreamPort: upstream.port });
    const body = Buffer.alloc(3_000_000, 'abcdefghijklmnopqrstuvwxyz0123456789');
    const once = async (): Promise<boolean> => {
      const got = await visit(rig.port, {}, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body.toString('latin1')}`);
      return got.text.endsWith(`\r\n\r\n${body.toString('latin1')}`);
    };
    expect(await Promise.all([once(), once(), once(), once()])).toEqual([true, true, true, true]);
    upstream.close();
  });
});

describe('what others are told', () => {
  it('the upstream, and the client\'s own word is not believed', async () => {
    const upstream = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (head: Buffer) => socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${head.length}\r\n\r\n${head.toString('latin1')}`));
    });
    await new Promise<void>((resolve) => {
      upstream.listen(0, '127.0.0.1', resolve);
    });
    const rig = await start({ upstreamPort: (upstream.address() as net.AddressInfo).port });
    const { text } = await visit(rig.port, {}, 'GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: http\r\nConnection: close\r\n\r\n');
    expect(text.match(/x-forwarded-proto: \w+/gi)).toEqual(['x-forwarded-proto: https']);
    // HTTP/1.0 needs no Host; many servers refuse an empty one.
    const old = await visit(rig.port, {}, 'GET / HTTP/1.0\r\n\r\n');
    expect(old.text).toMatch(/GET \/ HTTP\/1\.1\r\n[^]*host: app\r\n/i);
    upstream.close();
  });

  it.each([['GET', 301], ['HEAD', 301], ['POST', 308]])('%s without TLS, where the listener redirects to https: %i', async (method, status) => {
    const rig = await start({ listener: { port: 8443 }, plain: { redirect: 'https' } });
    const text = await raw(rig.plainPort, `${method} /a/b?c=d HTTP/1.1\r\nHost: shop.test:8080\r\nConnection: close\r\n\r\n`);
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*location: https://shop\\.test:8443/a/b\\?c=d\r\n`));
  });
});

describe('certificates', () => {
  const named = (dns: readonly string[], keyType: 'ec' | 'rsa' | 'ed25519' = 'ec'): TestCertificateOptions => ({ commonName: `${keyType} ${dns.join(' ')}`, dns, keyType });
  const several = [
    authority.issue(named(['shop.test', 'www.shop.test'])), authority.issue(named(['*.api.test'])), authority.issue(named(['special.api.test'])), authority.issue(named(['shop.test'], 'rsa')),
  ];

  it.each([
    ['shop.test', 'ec shop.test www.shop.test'], ['WWW.shop.test', 'ec shop.test www.shop.test'], ['x.api.test', 'ec *.api.test'], ['special.api.test', 'ec special.api.test'],
    ['api.test', 'ec shop.test www.shop.test'], ['a.b.api.test', 'ec shop.test www.shop.test'], ['unknown.test', 'ec shop.test www.shop.test'], ['', 'ec shop.test www.shop.test'],
  ])('for %j: %s', async (servername, shown) => {
    const rig = await start({ certificates: several });
    expect(await visit(rig.port, { servername })).toMatchObject({ error: '', shown });
  });

  it('the client\'s signature algorithms choose between EC and RSA', async () => {
    const rig = await start({ certificates: several });
    expect(await visit(rig.port, { servername: 'shop.test', sigalgs: 'rsa_pss_rsae_sha256' })).toMatchObject({ keyType: 'rsa' });
    expect(await visit(rig.port, { servername: 'shop.test', sigalgs: 'ecdsa_secp256r1_sha256' })).toMatchObject({ keyType: 'ec' });
    expect(await visit(rig.port, { servername: 'shop.test', maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' })).toMatchObject({ keyType: 'rsa', protocol: 'TLSv1.2' });
    expect(await visit(rig.port, { servername: 'special.api.test', sigalgs: 'rsa_pss_rsae_sha256' })).not.toMatchObject({ error: '' });
    await counts(rig, 'tls_refused-no-shared-cipher');
  });

  it('requireServerName refuses who asks for nobody, or for somebody else', async () => {
    const rig = await start({ certificates: several, tls: { requireServerName: true } });
    expect(await visit(rig.port, { servername: 'shop.test' })).toMatchObject({ error: '' });
    expect(await visit(rig.port, { servername: 'unknown.test' })).toMatchObject({ error: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });
    expect(await visit(rig.port, {})).toMatchObject({ error: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });
    expect(rig.counts()).toMatchObject({ 'tls_refused-server-name': 2 });
  });

  it('an unreadable name is refused, whatever the policy', async () => {
    const rig = await start();
    expect(await visit(rig.port, { servername: 'bad name.test' })).toMatchObject({ error: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });
  });

  it('without a usable certificate nobody is served, and other listeners are not touched', async () => {
    const rig = await start({ tls: { certificates: [{ certFile: '/missing.crt', keyFile: '/missing.key' }] } });
    expect(await visit(rig.port, {})).toMatchObject({ error: 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR' });
    expect(rig.counts()).toMatchObject({ 'tls_refused-no-certificate': 1 });
  });

  it('a new certificate is shown to the next connection; those that are open go on', async () => {
    const rig = await start();
    const open = tls.connect({ port: rig.port, host: '127.0.0.1', rejectUnauthorized: false, servername: 'shop.test' });
    let text = '';
    open.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    open.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await vi.waitFor(() => expect(text).toContain('hello'));
    const renewed = authority.issue({ commonName: 'renewed', dns: ['shop.test'] });
    rig.files.set('/0.crt', renewed.cert);
    rig.files.set('/0.key', renewed.key);
    await rig.hand();
    expect(await visit(rig.port, { servername: 'shop.test' })).toMatchObject({ shown: 'renewed' });
    text = '';
    open.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await vi.waitFor(() => expect(text).toContain('hello'));
    open.destroy();
  });
});

it('certificates that change again and again under load drop nothing', { timeout: 120_000 }, async () => {
  const rig = await start();
  const pairs = [shop, authority.issue({ commonName: 'renewed', dns: ['shop.test'] })];
  const outcomes = new Map<string, number>();
  let visits = 0;
  let going = true;
  const client = async (): Promise<void> => {
    while (going) {
      const { error, text, shown } = await visit(rig.port, { servername: 'shop.test' });
      const outcome = error === '' && text.endsWith('hello') ? shown : error;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      visits++;
    }
  };
  const clients = Array.from({ length: 4 }, client);
  for (let i = 1; i <= 20; i++) {
    const pair = pairs[i % 2] ?? shop;
    rig.files.set('/0.crt', pair.cert);
    rig.files.set('/0.key', pair.key);
    await rig.hand();
    // Each client has made a connection that began behind the change, or it has failed: what matters is told at the end.
    const before = visits;
    await vi.waitFor(() => expect(visits).toBeGreaterThan(before + 4), { timeout: 60_000 });
  }
  going = false;
  await Promise.all(clients);
  expect([...outcomes.keys()].sort()).toEqual(['renewed', 'shop.test']);
});

describe('what is negotiated', () => {
  it.each<[string, TlsRigOptions['tls'] & {}, tls.ConnectionOptions, object]>([
    ['TLS 1.2 by default', {}, { maxVersion: 'TLSv1.2' }, { error: '', protocol: 'TLSv1.2' }],
    ['nothing older', {}, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }, { protocol: '' }],
    ['TLS 1.3 only', { minVersion: '1.3' }, { maxVersion: 'TLSv1.2' }, { error: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' }],
    ['a cipher suite of TLS 1.3', { ciphers: ['TLS_CHACHA20_POLY1305_SHA256'] }, {}, { cipher: 'TLS_CHACHA20_POLY1305_SHA256' }],
    ['cipher suites of TLS 1.2 where only one of 1.3 is named', { ciphers: ['TLS_CHACHA20_POLY1305_SHA256'] }, { maxVersion: 'TLSv1.2' }, { error: '' }],
    ['a cipher suite of TLS 1.2', { ciphers: ['ECDHE-ECDSA-AES256-GCM-SHA384'] }, { maxVersion: 'TLSv1.2' }, { cipher: 'ECDHE-ECDSA-AES256-GCM-SHA384' }],
    ['no other of TLS 1.2', { ciphers: ['ECDHE-ECDSA-AES256-GCM-SHA384'] }, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }, { error: 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE' }],
    ['no suite without forward secrecy', {}, { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256:AES128-SHA' }, { protocol: '' }],
    ['ALPN http/1.1', {}, { ALPNProtocols: ['http/1.1'] }, { alpn: 'http/1.1', error: '' }],
    ['no ALPN at all', {}, {}, { alpn: '', error: '' }],
    ['h2 only where it is allowed', { alpn: ['http/1.1'] }, { ALPNProtocols: ['h2', 'http/1.1'] }, { alpn: 'http/1.1' }],
    ['a protocol that is not spoken', {}, { ALPNProtocols: ['spdy/3'] }, { error: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' }],
  ])('%s', async (_name, settings, client, expected) => {
    const rig = await start({ tls: settings });
    expect(await visit(rig.port, client)).toMatchObject(expected);
  });

  it('HTTP/2 by ALPN, in the listener\'s order of preference', async () => {
    const rig = await start();
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0';
    const got = await visit(rig.port, { ALPNProtocols: ['http/1.1', 'h2'], timeout: 1000 }, `${preface}\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0`);
    expect(got.alpn).toBe('h2');
    expect(got.text.slice(3, 5)).toBe('\x04\0');
  });

  it('renegotiation is refused', async () => {
    const rig = await start();
    const socket = tls.connect({ port: rig.port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.2' });
    await new Promise((resolve) => {
      socket.once('secureConnect', resolve);
    });
    const ended = new Promise((resolve) => {
      socket.on('error', resolve);
      socket.on('close', () => resolve('closed'));
    });
    socket.renegotiate({}, () => {});
    expect(String(await ended)).toMatch(/renegotiation|closed/i);
  });
});

describe('client certificates', () => {
  const files = { '/ca.pem': authority.cert, '/both.pem': `${other.cert}${authority.cert}` };
  const required = { clientCaFiles: ['/ca.pem'] };
  const optional = { clientCaFiles: ['/ca.pem'], clientAuth: 'optional' };
  const spiffe = 'spiffe://shop.test/service/orders';
  const caller = (options: TestCertificateOptions, by = authority): tls.ConnectionOptions => by.issue(options);

  it.each<[string, TlsRigOptions['tls'] & {}, tls.ConnectionOptions, object]>([
    ['a good one', required, caller({ uris: [spiffe] }), { principal: spiffe }],
    ['a good one without a SPIFFE id', required, caller({ dns: ['partner.test'] }), { principal: '' }],
    ['a good one of one of several authorities', { clientCaFiles: ['/both.pem'] }, caller({ uris: [spiffe] }, other), { principal: spiffe }],
    ['a good one where it is optional', optional, caller({ uris: [spiffe] }), { principal: spiffe }],
    ['none where it is optional', optional, {}, { principal: '' }],
    ['one that nobody asks for', {}, caller({ uris: [spiffe] }), { principal: '' }],
  ])('%s is served', async (_name, settings, client, facts) => {
    const rig = await start({ tls: settings, files });
    expect(factsIn((await visit(rig.port, client)).text)).toMatchObject({ tls: true, ...facts });
  });

  const past = new Date(Date.now() - 1000);
  it.each<[string, TlsRigOptions['tls'] & {}, tls.ConnectionOptions, string]>([
    ['none', required, {}, 'client-certificate-missing'],
    ['one of an unknown authority', required, caller({ uris: [spiffe] }, other), 'client-certificate-untrusted'],
    ['one of an unknown authority, where it is optional', optional, caller({ uris: [spiffe] }, other), 'client-certificate-untrusted'],
    ['an expired one', required, caller({ uris: [spiffe], validTo: past }), 'client-certificate-untrusted'],
    ['one that is not valid yet', required, caller({ uris: [spiffe], validFrom: new Date(Date.now() + 3_600_000) }), 'client-certificate-untrusted'],
    ['one for servers only', required, caller({ uris: [spiffe], usages: ['1.3.6.1.5.5.7.3.1'] }), 'client-certificate-untrusted'],
    ['one that nobody vouches for but itself', required, { cert: other.cert, key: other.key }, 'client-certificate-untrusted'],
    ['two SPIFFE ids', required, caller({ uris: [spiffe, `${spiffe}2`] }), 'client-certificate-names'],
    ['a SPIFFE id and another URI', required, caller({ uris: [spiffe, 'https://shop.test/'] }), 'client-certificate-names'],
    ['a SPIFFE id twice', required, caller({ uris: [spiffe, spiffe] }), 'client-certificate-names'],
    ['a SPIFFE id in upper case', required, caller({ uris: ['SPIFFE://shop.test/service/orders'] }), 'client-certificate-names'],
    ['a trust domain in upper case', required, caller({ uris: ['spiffe://Shop.test/service/orders'] }), 'client-certificate-names'],
    ['a SPIFFE id with dots to climb', required, caller({ uris: ['spiffe://shop.test/service/../admin'] }), 'client-certificate-names'],
    ['a SPIFFE id with an escape', required, caller({ uris: ['spiffe://shop.test/service/%6frders'] }), 'client-certificate-names'],
    ['a SPIFFE id with a query', required, caller({ uris: [`${spiffe}?x`] }), 'client-certificate-names'],
    ['a SPIFFE id with a slash at its end', required, caller({ uris: [`${spiffe}/`] }), 'client-certificate-names'],
    ['a SPIFFE id without a path', required, caller({ uris: ['spiffe://shop.test'] }), 'client-certificate-names'],
    ['NUL in a name', required, caller({ dns: ['shop.test\0.evil.test'] }), 'client-certificate-names'],
    ['NUL in a SPIFFE id', required, caller({ uris: [`${spiffe}\0`] }), 'client-certificate-names'],
    ['an authority as the caller', required, caller({ uris: [spiffe], authority: true }), 'client-certificate-authority'],
  ])('%s is refused', async (_name, settings, client, reason) => {
    const rig = await start({ tls: settings, files });
    const got = await visit(rig.port, client);
    expect(got.text).toBe('');
    await counts(rig, `tls_refused-${reason}`);
  });

  it('nobody is believed while a file of authorities is missing', async () => {
    const rig = await start({ tls: { clientCaFiles: ['/ca.pem', '/missing.pem'] }, files });
    expect((await visit(rig.port, caller({ uris: [spiffe] }))).text).toBe('');
    expect(rig.counts()).toMatchObject({ 'tls_refused-no-certificate': 1 });
  });
});

describe('a connection that was made under other rules', () => {
  /** Two requests on one connection, with a change of the configuration between them. */
  async function twice(rig: TlsRig, socket: net.Socket, change: Partial<TlsRigOptions>): Promise<readonly [string, string]> {
    let text = '';
    let closed = false;
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      closed = true;
    });
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await vi.waitFor(() => expect(text).toContain('hello'));
    const first = text.slice(9, 12);
    text = '';
    await rig.use({ certificates: [shop], ...change });
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await vi.waitFor(() => expect(text.includes('hello') || closed).toBe(true));
    const second = `${text.slice(9, 12)}${closed ? ' closed' : ''}`;
    socket.destroy();
    return [first, second];
  }

  const files = { '/ca.pem': authority.cert, '/other.pem': other.cert };
  const plain = { protocol: 'http' };
  const secure = (rig: TlsRig, options: tls.ConnectionOptions = {}): tls.TLSSocket => tls.connect({ port: rig.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });

  it('without TLS takes no request once the listener has it', async () => {
    const rig = await start({ listener: { ...plain, tls: undefined } });
    expect(await twice(rig, net.connect(rig.port, '127.0.0.1'), {})).toEqual(['200', '421 closed']);
  });

  it('goes on where the listener asks for less', async () => {
    const rig = await start({ tls: { clientCaFiles: ['/ca.pem'] }, files });
    expect(await twice(rig, secure(rig, authority.issue({ dns: ['x.test'] })), {})).toEqual(['200', '200']);
  });

  it('goes on where nothing changes that concerns it', async () => {
    const rig = await start();
    expect(await twice(rig, secure(rig), { tls: { minVersion: '1.3', requireServerName: true } })).toEqual(['200', '200']);
  });

  it('without a client certificate takes no request once one is required', async () => {
    const rig = await start();
    expect(await twice(rig, secure(rig), { tls: { clientCaFiles: ['/ca.pem'] }, files })).toEqual(['200', '421 closed']);
  });

  it('with a certificate of authorities that are not believed any more takes no request', async () => {
    const rig = await start({ tls: { clientCaFiles: ['/ca.pem'] }, files });
    expect(await twice(rig, secure(rig, authority.issue({ dns: ['x.test'] })), { tls: { clientCaFiles: ['/other.pem'] }, files })).toEqual(['200', '421 closed']);
  });

  it('over HTTP/2: the request is refused, and GOAWAY says to connect again', async () => {
    const rig = await start();
    const session = http2.connect(`https://127.0.0.1:${rig.port}`, { rejectUnauthorized: false });
    session.on('error', () => {});
    const get = (): Promise<number> => new Promise((resolve) => {
      const stream = session.request({ ':path': '/' });
      stream.on('response', (headers) => resolve(headers[':status'] ?? 0));
      stream.on('error', () => resolve(-1));
      stream.resume();
    });
    expect(await get()).toBe(200);
    await rig.use({ certificates: [shop], tls: { clientCaFiles: ['/ca.pem'] }, files });
    const goaway = new Promise((resolve) => {
      session.on('goaway', resolve);
    });
    expect(await get()).toBe(421);
    await goaway;
    session.destroy();
  });
});

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('resumption with %s', (maxVersion) => {
  const both = [authority.issue({ dns: ['a.test'] }), authority.issue({ dns: ['b.test'] }), authority.issue({ dns: ['*.w.test'] })];
  const go = (rig: TlsRig, servername: string, session?: Buffer | null): ReturnType<typeof visit> =>
    visit(rig.port, { servername, maxVersion, ...(session && { session }) });

  it('works for the same host, and tells the host', async () => {
    const rig = await start({ certificates: both });
    const first = await go(rig, 'a.test');
    const second = await go(rig, 'a.test', first.session);
    expect([first.reused, second.reused]).toEqual([false, true]);
    // On TLS 1.2 Node itself says `false` for the server name of a resumed session: ours comes from the hello.
    expect(factsIn(second.text)).toMatchObject({ serverName: 'a.test' });
    expect(rig.counts()).toMatchObject({ [`tls_resumed-${maxVersion}`]: 1 });
  });

  it('never crosses hosts', async () => {
    const rig = await start({ certificates: both });
    for (const [from, to] of [['a.test', 'b.test'], ['x.w.test', 'y.w.test'], ['a.test', 'unknown.test'], ['unknown.test', 'invented.test']] as const) {
      const first = await go(rig, from);
      const second = await go(rig, to, first.session);
      expect(second, `${from} to ${to}`).toMatchObject({ error: '', reused: false });
      expect(factsIn(second.text)).toMatchObject({ serverName: to });
    }
  });

  it('never crosses policies', async () => {
    const certificates = both;
    const files = { '/ca.pem': authority.cert };
    const rig = await start({ certificates, files });
    const before = await go(rig, 'a.test');
    await rig.use({ certificates, files, tls: { clientCaFiles: ['/ca.pem'], clientAuth: 'optional' } });
    expect(await go(rig, 'a.test', before.session)).toMatchObject({ error: '', reused: false });
  });

  it('never outlives the authorities that it was trusted by', async () => {
    const settings = { clientCaFiles: ['/ca.pem'] };
    const rig = await start({ certificates: both, tls: settings, files: { '/ca.pem': authority.cert } });
    const client = authority.issue({ uris: ['spiffe://shop.test/service/orders'] });
    const first = await visit(rig.port, { servername: 'a.test', maxVersion, ...client });
    const again = { servername: 'a.test', maxVersion, ...client, ...(first.session && { session: first.session }) };
    const resumed = await visit(rig.port, again);
    expect(resumed.reused).toBe(true);
    // The principal comes with the resumed session too.
    expect(factsIn(resumed.text)).toMatchObject({ principal: 'spiffe://shop.test/service/orders' });
    rig.files.set('/ca.pem', other.cert);
    await rig.hand();
    expect((await visit(rig.port, again)).text).toBe('');
    expect(rig.counts()).toMatchObject({ 'tls_refused-client-certificate-untrusted': 1 });
  });

  it('ends when the certificate of the client ends', async () => {
    const rig = await start({ certificates: both, tls: { clientCaFiles: ['/ca.pem'] }, files: { '/ca.pem': authority.cert } });
    const client = authority.issue({ uris: ['spiffe://shop.test/service/orders'], validTo: new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000) });
    const first = await visit(rig.port, { servername: 'a.test', maxVersion, ...client });
    expect(first.text).not.toBe('');
    await expect.poll(async () => (await visit(rig.port, { servername: 'a.test', maxVersion, ...client, ...(first.session && { session: first.session }) })).text, { timeout: 30_000 }).toBe('');
    expect(Object.keys(rig.counts()).filter((name) => name.startsWith('tls_refused')).length).toBeGreaterThan(0);
  });

  it('ends with the secret of the tickets', async () => {
    const rig = await start({ certificates: both });
    const first = await go(rig, 'a.test');
    rig.ticketSecret = Buffer.alloc(32, 8);
    await rig.hand();
    expect(await go(rig, 'a.test', first.session)).toMatchObject({ error: '', reused: false });
  });
});

describe('what never becomes a handshake', () => {
  it('a request without TLS is told so', async () => {
    const rig = await start();
    const text = await raw(rig.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n[^]*x-remora-reason: plaintext-on-tls\r\n/);
    expect(rig.counts()).toMatchObject({ 'tls_refused-not-tls': 1 });
  });

  it('a hello that is none gets an alert', async () => {
    const rig = await start();
    expect(Buffer.from(await raw(rig.port, '\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00'), 'latin1')).toEqual(Buffer.from([21, 3, 3, 0, 2, 2, 50]));
    expect(rig.counts()).toMatchObject({ 'tls_refused-bad-hello': 1 });
  });

  it.each([['nothing', ''], ['half a hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03']])('%s ends with the time for handshakes', async (_name, bytes) => {
    const rig = await start({ tls: { handshakeTimeoutMs: 150 } });
    expect(await raw(rig.port, bytes, false)).toBe('');
    if (bytes !== '') await counts(rig, 'tls_refused-timeout');
  });

  it('a client that stops behind its hello ends with the time for handshakes', async () => {
    const rig = await start({ tls: { handshakeTimeoutMs: 150 } });
    await raw(rig.port, await helloBytes(), false);
    await expect.poll(() => rig.counts()).toMatchObject({ 'tls_refused-timeout': 1 });
  });

  it('handshakes above the bound are refused; when some end there is room again', async () => {
    const rig = await start({ tls: { handshakesMax: 3, handshakeTimeoutMs: 2_000 } });
    const hello = await helloBytes();
    const stuck = Array.from({ length: 3 }, () => raw(rig.port, hello, false));
    await expect.poll(() => handshakes(rig)).toBe(3);
    expect((await visit(rig.port)).text).toBe('');
    expect(rig.counts()).toMatchObject({ 'tls_refused-overflow': 1 });
    await Promise.all(stuck);
    await expect.poll(() => handshakes(rig)).toBe(0);
    expect((await visit(rig.port)).text).toContain('hello');
  });

  it('what cannot be decrypted ends the connection', async () => {
    const rig = await start();
    const port = await slicing(rig.port, 100_000, (bytes, sent) => (sent > 700 ? Buffer.concat([bytes.subarray(0, 5), Buffer.alloc(bytes.length - 5, 1)]) : bytes));
    const got = await visit(port);
    expect(got.text).toBe('');
    await expect.poll(() => connections(rig)).toBe(0);
  });
});

async function described(rig: TlsRig): Promise<{ connections: number; listeners: { handshakes: number }[] }> {
  const { threads } = (await rig.plane.describe()) as { threads: { connections: number; listeners: { handshakes: number }[] }[] };
  return threads[0] ?? { connections: -1, listeners: [] };
}

async function handshakes(rig: TlsRig): Promise<number> {
  return (await described(rig)).listeners[0]?.handshakes ?? -1;
}

async function connections(rig: TlsRig): Promise<number> {
  return (await described(rig)).connections;
}

/** Sends bytes on a TCP connection; answers what came until it closed. */
function raw(port: number, bytes: string | Buffer, end = true): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => {
      if (bytes.length > 0) socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    });
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('end', () => socket.end());
    socket.on('error', () => {});
    socket.on('close', () => resolve(end ? text : ''));
  });
}

async function helloBytes(): Promise<Buffer> {
  return new Promise((resolve) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => {});
      const reader = new ClientHelloReader();
      socket.on('data', (chunk: Buffer) => {
        if (reader.feed(chunk, 0, chunk.length) === 'more') return;
        socket.destroy();
        server.close();
        resolve(Buffer.from(reader.raw));
      });
    });
    server.listen(0, '127.0.0.1', () => {
      tls.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', rejectUnauthorized: false }).on('error', () => {});
    });
  });
}

/** A port that forwards what clients say in pieces of `size` bytes, changed by `change`, which is also told how much went before. */
async function slicing(port: number, size: number, change: (bytes: Buffer, sent: number) => Buffer = (bytes) => bytes): Promise<number> {
  const server = net.createServer({ noDelay: true }, (client) => {
    const upstream = net.connect({ port, host: '127.0.0.1', noDelay: true });
    let sent = 0;
    let writing = Promise.resolve();
    client.on('data', (chunk: Buffer) => {
      const bytes = change(chunk, sent);
      sent += chunk.length;
      writing = writing.then(async () => {
        for (let at = 0; at < bytes.length; at += size) {
          upstream.write(bytes.subarray(at, at + size));
          // Each piece a segment of its own.
          await new Promise((resolve) => {
            setImmediate(resolve);
          });
        }
      });
    });
    upstream.pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => {});
    client.on('close', () => void writing.then(() => upstream.destroy()));
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  server.unref();
  return (server.address() as net.AddressInfo).port;
}

/** The first record cut into records of 50 bytes. TLS 1.2 only: the middlebox rules of TLS 1.3 are OpenSSL's. */
function inSmallRecords(bytes: Buffer, sent: number): Buffer {
  if (sent > 0) return bytes;
  const size = bytes.readUInt16BE(3);
  const records: Buffer[] = [];
  for (let at = 5; at < 5 + size; at += 50) {
    const part = bytes.subarray(at, Math.min(at + 50, 5 + size));
    records.push(Buffer.from([22, 3, 1, 0, part.length]), part);
  }
  return Buffer.concat([...records, bytes.subarray(5 + size)]);
}

async function echoServer(): Promise<{ port: number; close: () => void }> {
  const http = await import('node:http');
  const server = http.createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => response.end(Buffer.concat(parts)));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return { port: (server.address() as net.AddressInfo).port, close: () => server.close() };
}
