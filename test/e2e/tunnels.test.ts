import { once } from 'node:events';
import net from 'node:net';
import { freePort } from '@remora/testing/free-port';
import { afterEach, describe, expect, test } from 'vitest';
import { WireEnd, WireUpstream } from '@remora/testing/wire-end';
import { until } from '../processes/until.ts';
import { Fixture, untilInSync } from './fixture.ts';

/** TCP and WebSockets through real sidecars and a gateway, over edits and a drain. */
describe('tunnels', () => {
  let fixture = new Fixture();
  const ends: { close(): void }[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0)) end.close();
    await fixture.end();
    fixture = new Fixture();
  });

  async function app(behave: (end: WireEnd) => unknown): Promise<WireUpstream> {
    const started = await WireUpstream.start(behave);
    ends.push(started);
    return started;
  }

  async function client(port: number): Promise<WireEnd> {
    const end = await WireEnd.connect(port);
    ends.push(end);
    return end;
  }

  /** Greets, and answers every line in capitals. */
  async function database(end: WireEnd): Promise<void> {
    end.send('ready\n');
    for (let lines = 1; end.state === 'open'; lines++) {
      await end.until(() => end.text.split('\n').length > lines || end.state !== 'open');
      if (end.state === 'open') end.send(`${end.text.split('\n')[lines - 1]?.toUpperCase() ?? ''}\n`);
    }
    end.end();
  }

  test('a database is called through two sidecars and through a gateway, and connections outlive edits', async () => {
    const db = await app(database);
    const controlPlane = await fixture.controlPlane();
    const gatewayPort = await freePort();
    await controlPlane.apply(`
{kind: Service, name: db, ports: {sql: {port: 5432, protocol: tcp}}}
---
{kind: Service, name: web, ports: {http: {port: 80}}, dependsOn: [db]}
---
{kind: Gateway, name: edge, listeners: {sql: {port: ${gatewayPort}, protocol: tcp}}}
---
{kind: Route, name: sql, gateway: edge, listeners: [sql], to: [{service: db}]}
`);
    const web = await fixture.app('web');
    const common = ['--control-plane', controlPlane.push];
    const beside = await fixture.sidecar(['--service', 'db', ...common, '--app', `sql=127.0.0.1:${db.port}`, '--inbound', 'sql=0', '--no-outbound']);
    const caller = await fixture.sidecar(['--service', 'web', ...common, '--app', `127.0.0.1:${web.port}`, '--inbound', '0', '--outbound', '0', '--outbound-for', 'db:5432=0']);
    await fixture.sidecar(['--gateway', 'edge', ...common]);
    await untilInSync(controlPlane.api, 3);
    const outbound = await until('the port for db', async () => (await listenersOf(caller.ports['admin'] ?? 0))['outbound/db:5432'] ?? 0, (port) => port > 0);
    const [inside, outside] = [await opened(outbound), await opened(gatewayPort)];
    for (const end of [inside, outside]) {
      end.send('select 1\n');
      await end.untilText('SELECT 1\n');
    }
    await controlPlane.apply('{kind: Policy, name: few, target: {service: db}, rateLimit: {limits: {all: {requests: 1, per: 30d}}}}', '?wait=applied&timeout=60s');
    for (const end of [inside, outside]) {
      end.send('select 2\n');
      await end.untilText('SELECT 2\n');
    }
    const first = await client(outbound);
    await first.untilText('ready');
    const refused = await client(outbound);
    await refused.untilClosed();
    expect(refused.text).toBe('');
    const metrics = await until('the refusal is counted', async () => (await fetch(`http://127.0.0.1:${beside.ports['admin']}/metrics`)).text(),
      (text) => text.includes('remora_refusals_total{side="inbound",route="tcp/sql",destination="",reason="rate-limited",kind="rateLimit",policy="few",shadow="false"} 1'));
    expect(metrics).toContain('remora_tunnels_active{side="inbound",route="tcp/sql",destination=""} 3');
  });

  /** Answered by the database: instances may only just have been announced. */
  async function opened(port: number): Promise<WireEnd> {
    return until('an answer', async () => {
      const end = await client(port);
      await Promise.race([end.untilText('ready'), end.untilClosed()]);
      return end;
    }, (end) => end.text === 'ready\n');
  }

  test('an app that knows proxies calls a database by CONNECT, where the Mesh lets it, and nothing else', async () => {
    const db = await app(database);
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`
{kind: Service, name: db, ports: {sql: {port: 5432, protocol: tcp}, http: {port: 80}}, endpoints: [{address: 127.0.0.1, ports: {sql: ${db.port}}}]}
---
{kind: Service, name: web, ports: {http: {port: 80}}, dependsOn: [db]}
`);
    const web = await fixture.app('web');
    const caller = await fixture.sidecar(['--service', 'web', '--control-plane', controlPlane.push, '--app', `127.0.0.1:${web.port}`, '--inbound', '0', '--outbound', '0']);
    await untilInSync(controlPlane.api, 1);
    const outbound = await until('the outbound port', async () => (await listenersOf(caller.ports['admin'] ?? 0))['outbound'] ?? 0, (port) => port > 0);
    expect(await connectStatus(outbound, 'db:5432')).toBe(403);
    await controlPlane.apply('{kind: Mesh, name: mesh, connect: declared}', '?wait=applied&timeout=60s');
    const tunnel = await until('a tunnel', () => connected(outbound, 'db:5432'), (end) => end.text.startsWith('HTTP/1.1 200 '));
    await tunnel.untilText('ready\n');
    for (const [authority, status] of [[`127.0.0.1:${db.port}`, 502], ['localhost:5432', 502], ['db:80', 403], ['db:5433', 403]] as const) {
      expect([authority, await connectStatus(outbound, authority)]).toEqual([authority, status]);
    }
    expect(db.connections).toHaveLength(1);
    await controlPlane.apply('{kind: Mesh, name: mesh, connect: refuse}', '?wait=applied&timeout=60s');
    expect(await connectStatus(outbound, 'db:5432')).toBe(403);
    tunnel.send('select 1\n');
    await tunnel.untilText('SELECT 1\n');
    const metrics = await until('the refusals are counted', async () => (await fetch(`http://127.0.0.1:${caller.ports['admin']}/metrics`)).text(),
      (text) => /remora_refusals_total\{side="outbound",[^}]*reason="connect-port"[^}]*\} 2/.test(text));
    expect(metrics).toContain('remora_tunnels_active{side="outbound",route="tcp/sql",destination="db"} 1');
  });

  async function connected(port: number, authority: string): Promise<WireEnd> {
    const end = await client(port);
    end.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    await Promise.race([end.untilText('\r\n\r\n'), end.untilClosed()]);
    return end;
  }

  async function connectStatus(port: number, authority: string): Promise<number> {
    return Number((await connected(port, authority)).text.slice(9, 12));
  }

  test('a WebSocket outlives edits, and gets its Close frame when its gateway is told to stop', async () => {
    const chat = await app(async (end) => {
      await end.untilText('\r\n\r\n');
      end.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n');
      await end.untilClosed();
      end.end();
    });
    const controlPlane = await fixture.controlPlane();
    const port = await freePort();
    await controlPlane.apply(`
{kind: Service, name: chat, ports: {http: {port: 80}}, endpoints: [{address: 127.0.0.1, port: ${chat.port}}]}
---
{kind: Gateway, name: edge, listeners: {plain: {port: ${port}}}}
---
{kind: Route, name: all, gateway: edge, to: [{service: chat}]}
`);
    const gateway = await fixture.sidecar(['--gateway', 'edge', '--control-plane', controlPlane.push, '--drain-delay', '0s', '--drain-timeout', '3s']);
    await until('the gateway listens', () => listens(port), (open) => open);
    const end = await client(port);
    end.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n');
    await end.untilText('\r\n\r\n');
    expect(end.text).toMatch(/^HTTP\/1\.1 101 /);
    await controlPlane.apply('{kind: Policy, name: timeouts, target: {service: chat}, timeout: {request: 3s}}', '?wait=applied&timeout=60s');
    (await chat.connection(1)).send(Buffer.from([0x81, 2, 0x68, 0x69]));
    await end.until(() => end.text.endsWith('hi'));
    end.received = Buffer.alloc(0);
    const gone = once(gateway.process, 'exit');
    gateway.process.kill('SIGTERM');
    await end.untilClosed();
    expect([...end.received]).toEqual([0x88, 2, 1001 >> 8, 1001 & 255]);
    end.end();
    await gone;
    expect(gateway.process.exitCode).toBe(0);
  });
});

async function listenersOf(admin: number): Promise<Record<string, number>> {
  const { listeners } = await (await fetch(`http://127.0.0.1:${admin}/status`)).json() as { readonly listeners: readonly { readonly name: string; readonly port: number }[] };
  return Object.fromEntries(listeners.map(({ name, port }) => [name, port]));
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    }).on('error', () => resolve(false));
  });
}
