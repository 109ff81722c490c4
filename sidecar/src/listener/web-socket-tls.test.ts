import tls from 'node:tls';
import { afterEach, expect, it, vi } from 'vitest';
import { TestAuthority } from '@remora/testing/test-authority';
import { WireEnd } from '@remora/testing/wire-end';
import { TlsRig } from '../tls/testdata/tls-rig.ts';
import { TunnelEnds, switches, switchingAnswer, upgradeRequest } from '../testdata/tunnel-ends.ts';

const ends = new TunnelEnds();
afterEach(() => ends.close());
const authority = new TestAuthority();

async function rig(upstreamPort: number, upstreamTls = false): Promise<TlsRig> {
  const started = await TlsRig.start({ certificates: [authority.issue({ dns: ['shop.test'] })], upstreamPort, ...(upstreamTls && { upstreamTls: { verify: 'none', alpn: ['http/1.1'] } }) });
  ends.later(() => started.close());
  return started;
}

async function secureClient(port: number): Promise<WireEnd> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, servername: 'shop.test', ALPNProtocols: ['http/1.1'], allowHalfOpen: true } as tls.ConnectionOptions);
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  const end = new WireEnd(socket);
  ends.later(() => end.close());
  return end;
}

it('a WebSocket behind TLS carries bytes as they are, both ways, ends each side on its own, and passes a reset on', async () => {
  const up = await ends.upstream(switches);
  const { port } = await rig(up.port);
  const end = await secureClient(port);
  end.send(upgradeRequest());
  await end.untilText('\r\n\r\n');
  expect(end.text).toMatch(/^HTTP\/1\.1 101 /);
  const app = await up.connection(1);
  end.received = Buffer.alloc(0);
  app.received = Buffer.alloc(0);
  const bytes = Buffer.alloc(1_000_000).map((_byte, at) => (at * 31) >> 5);
  end.send(bytes);
  app.send(bytes);
  await Promise.all([end.until(() => end.received.length === bytes.length), app.until(() => app.received.length === bytes.length)]);
  expect(end.received.equals(bytes)).toBe(true);
  expect(app.received.equals(bytes)).toBe(true);
  end.end();
  await app.until(() => app.state === 'end');
  app.send('last');
  await end.untilText('last');
  app.reset();
  await end.untilClosed();
});

it('a WebSocket to an instance behind TLS opens, and its early bytes arrive', async () => {
  const server = tls.createServer({ ...authority.issue({ dns: ['app.test'] }), ALPNProtocols: ['http/1.1'] }, (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.write(`${switchingAnswer()}hello`));
  });
  ends.later(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = await rig((server.address() as { port: number }).port, true);
  const end = await secureClient(port);
  end.send(upgradeRequest());
  await vi.waitFor(() => expect(end.text).toMatch(/^HTTP\/1\.1 101 [^]*\r\n\r\nhello$/));
});
