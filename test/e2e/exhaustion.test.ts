import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { RawClient } from '../processes/raw-client.ts';
import { okAnswer, onHead, RawUpstream } from '../processes/raw-upstream.ts';
import { RecordingApp } from '../processes/recording-app.ts';
import { startTraffic } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { cleanRequest, startEdge, threadsOf, untilQuiet } from './edge.ts';
import { Fixture, statusOf } from './fixture.ts';

/** faults.md 10, for descriptors and the disk: what runs out is said, traffic flows, and it recovers by itself. */
describe('exhaustion', () => {
  let fixture = new Fixture();
  let app: RecordingApp;
  const clients: RawClient[] = [];
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await fixture.end();
    await app.close();
    fixture = new Fixture();
  });

  const admin = async (port: number | undefined, page: string): Promise<number> => (await fetch(`http://127.0.0.1:${port}/${page}`)).status;

  test('more clients than descriptors: the rest is refused at accept and counted, health stays honest, then all is as before', async () => {
    app = await RecordingApp.start();
    const edge = await startEdge(fixture, { upstreams: [app.port], wrap: (command) => ['/bin/sh', '-c', 'ulimit -n 300; exec "$@"', 'sh', ...command] });
    await cleanRequest(edge.port);
    for (let i = 0; i < 400; i++) {
      const client = await RawClient.open(edge.port).catch(() => null);
      if (client === null) continue;
      clients.push(client);
      client.write('GET /held HTTP/1.1\r\nhost: a\r\n\r\n');
    }
    // Every one is answered or closed; nobody waits for a descriptor that does not come.
    await Promise.all(clients.map((client) => client.until('answered or closed', (one) => one.endsWith('ok /held'))));
    const served = clients.filter((client) => client.status === 200).length;
    expect(served).toBeGreaterThanOrEqual(64);
    expect(served).toBeLessThan(150);
    const [thread] = await threadsOf(edge.gateway);
    expect(thread?.listeners[0]?.refused).toBeGreaterThan(200);
    // What Remora needs itself is not taken by clients.
    expect([await admin(edge.gateway.ports['admin'], 'live'), await admin(edge.gateway.ports['admin'], 'ready')]).toEqual([200, 200]);
    await edge.apply('{kind: Policy, name: mark, target: {gateway: edge}, transform: {response: {headers: {set: {x-mark: "1"}}}}}');
    const [first] = clients;
    first?.write('GET /again HTTP/1.1\r\nhost: a\r\n\r\n');
    await first?.until('an open connection is served on', (one) => one.endsWith('ok /again'));
    expect(first?.text).toContain('x-mark: 1');
    for (const client of clients) client.destroy();
    await untilQuiet(edge.gateway);
    await cleanRequest(edge.port);
  });

  test('more calls than descriptors for their connections: the rest waits for those that are there, health stays honest, everybody is answered', async () => {
    app = await RecordingApp.start();
    const held: Socket[] = [];
    const upstream = await RawUpstream.start(onHead((socket) => { held.push(socket); }));
    const edge = await startEdge(fixture, {
      upstreams: [upstream.port], wrap: (command) => ['/bin/sh', '-c', 'ulimit -n 200; exec "$@"', 'sh', ...command], documents: '{kind: Policy, name: patient, target: {service: orders}, timeout: {request: 10m}}',
    });
    const callers = Array.from({ length: 4 }, () => connect(`http://127.0.0.1:${edge.port}`));
    try {
      const statuses: number[] = [];
      const calls = 300;
      for (let i = 0; i < calls; i++) {
        callers[i % callers.length]?.request({ ':path': `/${i}`, ':authority': 'a' }).on('response', (head) => { statuses.push(head[':status'] ?? 0); }).resume();
      }
      await until('each is held or waits', () => threadsOf(edge.gateway), (threads) => held.length + threads.reduce((sum, { pools }) => sum + pools.reduce((all, { waiting }) => all + waiting, 0), 0) === calls, 30_000);
      expect([statuses, held.length > 50, held.length < 150]).toEqual([[], true, true]);
      expect([await admin(edge.gateway.ports['admin'], 'live'), await admin(edge.gateway.ports['admin'], 'ready')]).toEqual([200, 200]);
      upstream.behave = onHead((socket) => socket.write(okAnswer));
      // Those that wait come over the connections that are there, whose behaviour was given when they were made.
      for (let answered = 0; statuses.length < calls;) {
        await until('the next has come', () => held.length, (count) => count > answered || statuses.length === calls, 30_000);
        for (; answered < held.length; answered++) held[answered]?.write(okAnswer);
        await until('it is answered', () => statuses.length, (count) => count >= answered, 30_000);
      }
      expect([...new Set(statuses)]).toEqual([200]);
    } finally {
      for (const caller of callers) caller.destroy();
      await upstream.close();
    }
  });

  const memoryDisk = mountMemoryDisk();
  afterAll(() => {
    if (memoryDisk === null) return;
    execFileSync('umount', ['-l', memoryDisk]);
    rmSync(memoryDisk, { recursive: true, force: true });
  });

  test.skipIf(memoryDisk === null)(`a full disk: enforced without it, said, and made good${memoryDisk === null ? ' [needs the right to mount a tmpfs]' : ''}`, async () => {
    const folder = path.join(memoryDisk ?? '', 'data');
    app = await RecordingApp.start();
    const edge = await startEdge(fixture, { upstreams: [app.port], folder });
    const mark = (value: number) => edge.controlPlane.apply(`{kind: Policy, name: mark, target: {gateway: edge}, transform: {response: {headers: {set: {x-mark: "${value}"}}}}}`, '?wait=applied&timeout=60s');
    await mark(1);
    await until('the first is on disk', () => statusOf(edge.gateway), ({ config }) => (config as { persisted: boolean }).persisted);
    const traffic = startTraffic({ port: edge.port, path: '/', concurrency: 4, pauseMs: 2 });
    const { bavail, bsize } = statfsSync(memoryDisk ?? '');
    fill(path.join(memoryDisk ?? '', 'ballast'), bavail * bsize);
    await mark(2);
    await until('traffic shows it', () => traffic.answers.at(-1)?.headers['x-mark'], (value) => value === '2');
    const status = await until('the alarm', () => statusOf(edge.gateway), ({ diskAlarm }) => typeof diskAlarm === 'string');
    expect(status['diskAlarm']).toMatch(/ENOSPC|no space/i);
    expect(status['config']).toMatchObject({ persisted: false });
    expect(status).toMatchObject({ ready: true });
    const seen = await (await fetch(`${edge.controlPlane.api}/v1/sidecars?limit=10`)).text();
    expect(seen).toMatch(/"persisted":\s*false/);
    rmSync(path.join(memoryDisk ?? '', 'ballast'));
    await until('it is made good', () => statusOf(edge.gateway), ({ diskAlarm, config }) => diskAlarm === null && (config as { persisted: boolean }).persisted, 40_000);
    expect((await traffic.stop()).filter(({ status: code }) => code !== 200)).toEqual([]);
  });
});

/** A file system of 2 MiB in a folder of its own; null where mounting is not allowed. */
function mountMemoryDisk(): string | null {
  const folder = mkdtempSync(path.join(tmpdir(), 'remora-full-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder], { stdio: 'ignore' });
    return folder;
  } catch {
    rmSync(folder, { recursive: true, force: true });
    return null;
  }
}

/** Writes until nothing fits any more. */
function fill(file: string, bytes: number): void {
  try {
    writeFileSync(file, Buffer.alloc(bytes));
    for (let i = 0; i < 64; i++) writeFileSync(`${file}-${i}`, 'x');
  } catch {
    // Full is what was wanted.
  }
}
