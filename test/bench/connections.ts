import net from 'node:net';
import { freePort } from '@remora/testing/free-port';
import { scratchFolder } from '@remora/testing/scratch-folder';
import type { Bench, BenchRow } from './bench-document.ts';
import { residentMiB, stop, untilListening } from '../processes/child.ts';
import { startBackend } from '../processes/peers.ts';
import { startControlPlane, startSidecar } from '../processes/remora.ts';
import { describeMachine } from './machine.ts';

/** What idle connections cost: each has served one request, then stays open. `--count N`, 8,000. */
export const run: Bench = async ({ quick, flags }) => {
  const folder = scratchFolder('bench-connections');
  const backend = await startBackend(folder, 0);
  const controlPlane = await startControlPlane({ core: 0, flags: ['--store', 'memory'], bundled: true });
  const port = await freePort();
  await controlPlane.apply(documents(port, backend.port));
  const sidecar = await startSidecar(['--gateway', 'edge', '--control-plane', controlPlane.push], { core: 1, bundled: true });
  try {
    await untilListening(port);
    await untilServed(port);
    const count = Number(flags['count'] ?? (quick ? 2000 : 8000));
    const kib = await idleCost(port, sidecar.process.pid ?? 0, count);
    const row: BenchRow = { what: `${count} idle keep-alive connections: resident memory each`, value: kib, unit: 'KiB', bar: '≤ 10 KiB', ok: kib <= 10 };
    return { bench: 'connections', machine: describeMachine(), rows: [row] };
  } finally {
    for (const child of [sidecar.process, controlPlane.process, backend.process]) await stop(child);
  }
};

async function idleCost(port: number, pid: number, count: number): Promise<number> {
  // What the first requests cost once is not the connections'.
  const warm = await openIdle(port, 200);
  for (const socket of warm) socket.destroy();
  const before = await settledMemory(pid);
  const sockets = await openIdle(port, count);
  const after = await settledMemory(pid);
  for (const socket of sockets) socket.destroy();
  return Math.round(((after - before) * 1024 * 10) / count) / 10;
}

/** In groups, so that no backlog overflows. */
async function openIdle(port: number, count: number): Promise<net.Socket[]> {
  const sockets: net.Socket[] = [];
  for (let from = 0; from < count; from += 100) {
    const group = Array.from({ length: Math.min(100, count - from) }, () => askOnce(port));
    sockets.push(...(await Promise.all(group)));
  }
  return sockets;
}

/** The first instances are known a moment after the listener is. */
async function untilServed(port: number): Promise<void> {
  for (const end = performance.now() + 15_000; performance.now() < end;) {
    const status = await fetch(`http://127.0.0.1:${port}/api/users/1`).then((response) => response.status, () => 0);
    if (status === 200) return;
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
  throw new Error('the gateway does not answer');
}

function askOnce(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    let text = '';
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.endsWith('}')) resolve(socket);
    });
    socket.write('GET /api/users/1 HTTP/1.1\r\nHost: edge\r\n\r\n');
  });
}

/** Resident memory when it has stopped changing. */
async function settledMemory(pid: number): Promise<number> {
  let last = residentMiB(pid);
  for (let calm = 0; calm < 4;) {
    await new Promise((resolve) => { setTimeout(resolve, 500); });
    const now = residentMiB(pid);
    calm = Math.abs(now - last) < 0.5 ? calm + 1 : 0;
    last = now;
  }
  return last;
}

function documents(port: number, backend: number): string {
  return `
kind: Gateway
name: edge
listeners: {main: {port: ${port}}}
---
kind: Policy
name: many-connections
target: {gateways: all}
requestLimits: {connections: 20000, idleTimeout: 10m}
---
kind: Service
name: users
ports: {http: {port: ${backend}}}
endpoints: [{address: 127.0.0.1}]
---
kind: Route
name: users
gateway: edge
match: {path: {prefix: /api}}
to: [{service: users}]
`;
}
