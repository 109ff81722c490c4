import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { readConnections } from '../admin/connection-metrics.ts';
import { LocalDataPlane } from '../threads/local-data-plane.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function gateway(): Promise<{ readonly plane: LocalDataPlane; readonly port: number }> {
  const plane = new LocalDataPlane({ nodeId: 'edge-1', kinds: new Map() });
  closers.push(() => plane.close());
  const candidate = new CandidateBuilder({ kind: 'gateway', name: 'edge' }).fleet().listener({ name: 'plain' }).build({ epoch: 1, index: 1 });
  expect(await plane.prepare(candidate)).toMatchObject({ ok: true });
  await plane.swap(candidate.hash, candidate.version);
  const [bound] = await plane.listen([{ name: 'gateway/plain', side: 'gateway', host: '127.0.0.1', port: 0, portName: 'plain' }]);
  return { plane, port: bound?.port ?? 0 };
}

async function open(port: number, bytes: string): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1').resume();
  socket.on('error', () => {});
  closers.push(() => socket.destroy());
  await once(socket, 'connect');
  socket.write(bytes);
  return socket;
}

describe('connections of clients', () => {
  test('are counted by protocol, and those that are open', async () => {
    const { plane, port } = await gateway();
    const figures = (which: 'total' | 'active'): Record<string, number> => Object.fromEntries(readConnections(plane.readPolicyEvents(), which).map(({ labels, value }) => [`${labels['side']} ${labels['protocol']}`, value]));
    const first = await open(port, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await open(port, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    const silent = await open(port, '');
    const session = http2.connect(`http://127.0.0.1:${port}`);
    closers.push(() => session.destroy());
    await once(session, 'remoteSettings');
    await vi.waitFor(() => expect(figures('active')).toEqual({ 'gateway http1': 2, 'gateway http2': 1 }));
    first.resetAndDestroy();
    silent.resetAndDestroy();
    await vi.waitFor(() => expect(figures('active')).toEqual({ 'gateway http1': 1, 'gateway http2': 1 }));
    expect(figures('total')).toEqual({ 'gateway http1': 2, 'gateway http2': 1, 'gateway none': 1 });
  });
});
