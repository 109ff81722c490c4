import net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { writeProxyHeader } from '@remora/http/first-bytes/write-proxy-header';
import { TestAuthority } from '@remora/testing/test-authority';
import { TlsRig, factsIn, type TlsRigOptions } from '../tls/testdata/tls-rig.ts';

const authority = new TestAuthority();
const certificates = [authority.issue({ dns: ['shop.test'] })];
const request = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
const addresses = { sourceAddress: '198.51.100.7', sourcePort: 4711, destinationAddress: '192.0.2.1', destinationPort: 443 };
let rig: TlsRig | null = null;

afterEach(async () => {
  await rig?.close();
  rig = null;
});

async function start(listener: TlsRigOptions['listener'] & {} = {}, trustedProxies = ['127.0.0.0/8']): Promise<TlsRig> {
  rig = await TlsRig.start({ certificates, trustedProxies, listener: { proxyProtocol: 'required', ...listener } });
  return rig;
}

const plain = { protocol: 'http', tls: undefined };

/** Everything that came until the connection closed. */
function talk(port: number, ...pieces: readonly (string | Buffer)[]): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true }, () => {
      void (async () => {
        for (const piece of pieces) {
          socket.write(piece);
          await new Promise((next) => {
            setImmediate(next);
          });
        }
      })();
    });
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}

describe('a listener that requires the PROXY protocol', () => {
  it.each([1, 2] as const)('takes the client\'s address from version %i, cut anywhere', async (version) => {
    const { port } = await start(plain);
    const bytes = Buffer.concat([writeProxyHeader({ version, addresses }), Buffer.from(request)]);
    for (const pieces of [[bytes], [...bytes].map((byte) => Buffer.of(byte))]) {
      expect(factsIn(await talk(port, ...pieces))).toMatchObject({ peerAddress: '198.51.100.7', peerPort: 4711, clientAddress: '198.51.100.7', tls: false, trusted: false });
    }
  });

  it('gives upstreams that address as forwarded', async () => {
    const upstream = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (head: Buffer) => socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${head.length}\r\n\r\n${head.toString('latin1')}`));
    });
    await new Promise<void>((resolve) => {
      upstream.listen(0, '127.0.0.1', resolve);
    });
    rig = await TlsRig.start({ certificates, trustedProxies: ['127.0.0.0/8'], listener: { ...plain, proxyProtocol: 'required' }, upstreamPort: (upstream.address() as net.AddressInfo).port });
    const text = await talk(rig.port, Buffer.concat([writeProxyHeader({ version: 2, addresses }), Buffer.from(request)]));
    expect(text).toMatch(/x-forwarded-for: 198\.51\.100\.7\r\n/i);
    upstream.close();
  });

  it('LOCAL and UNKNOWN mean the balancer itself', async () => {
    const { port } = await start(plain);
    for (const version of [1, 2] as const) {
      expect(factsIn(await talk(port, Buffer.concat([writeProxyHeader({ version, addresses: null }), Buffer.from(request)])))).toMatchObject({ peerAddress: '127.0.0.1' });
    }
  });

  it('with TLS behind the header', async () => {
    const { port } = await start();
    const text = await new Promise<string>((resolve) => {
      let got = '';
      const socket = net.connect({ port, host: '127.0.0.1' }, () => {
        socket.write(writeProxyHeader({ version: 2, addresses, authority: 'ignored.test' }));
        const secure = tls.connect({ socket, servername: 'shop.test', rejectUnauthorized: false }, () => secure.write(request));
        secure.on('data', (chunk: Buffer) => {
          got += chunk.toString();
        });
        secure.on('error', () => {});
        secure.on('close', () => resolve(got));
      });
      socket.on('error', () => {});
    });
    expect(factsIn(text)).toMatchObject({ tls: true, serverName: 'shop.test', peerAddress: '198.51.100.7' });
  });

  it('refuses who is not among the trusted proxies, before reading anything', async () => {
    const { port } = await start(plain, ['192.0.2.0/24']);
    expect(await talk(port, Buffer.concat([writeProxyHeader({ version: 1, addresses }), Buffer.from(request)]))).toBe('');
    expect(rig?.counts()).toMatchObject({ 'proxyProtocol_untrusted-peer': 1 });
  });

  it.each<[string, string | Buffer]>([
    ['a request without a header', request],
    ['a hello without a header', Buffer.from('\x16\x03\x01\x02\x00\x01', 'latin1')],
    ['a header with a wrong checksum', corrupted()],
    ['a line that is too long', `PROXY UNKNOWN ${'x'.repeat(200)}\r\n`],
  ])('refuses %s', async (_name, bytes) => {
    const { port } = await start(plain);
    expect(await talk(port, bytes)).toBe('');
    expect(rig?.counts()).toMatchObject({ 'proxyProtocol_bad-header': 1 });
  });

  it('one header a connection: a second one is part of what follows', async () => {
    const { port } = await start(plain);
    const header = writeProxyHeader({ version: 1, addresses });
    expect(await talk(port, Buffer.concat([header, header, Buffer.from(request)]))).toMatch(/^HTTP\/1\.1 400 /);
  });
});

it('without it a header is no request', async () => {
  rig = await TlsRig.start({ certificates, trustedProxies: ['127.0.0.0/8'], listener: plain });
  expect(await talk(rig.port, Buffer.concat([writeProxyHeader({ version: 1, addresses }), Buffer.from(request)]))).toMatch(/^HTTP\/1\.1 400 /);
});

function corrupted(): Buffer {
  const header = writeProxyHeader({ version: 2, addresses });
  header[16] = 1;
  return header;
}
