import { settle } from '@remora/testing/manual-timers';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import type { Candidate } from '@remora/snapshot/candidate';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { MemoryDisk } from './config/testdata/memory-disk.ts';
import { SidecarFixture } from './testdata/sidecar-fixture.ts';

const running: SidecarFixture[] = [];
afterEach(async () => {
  for (const fixture of running.splice(0)) await fixture.sidecar.stop();
});

async function start(argv: string, disk?: MemoryDisk): Promise<SidecarFixture> {
  const fixture = await new SidecarFixture(argv, disk).start();
  running.push(fixture);
  return fixture;
}

function gatewaySnapshot(index: number, ...listeners: readonly [string, number][]): Candidate {
  const builder = new CandidateBuilder({ kind: 'gateway', name: 'edge' }).fleet().route({ name: 'api' });
  for (const [name, port] of listeners) builder.listener({ name, port });
  return builder.build({ epoch: 1, index });
}

function serviceSnapshot(port: string): Candidate {
  return new CandidateBuilder({ kind: 'service', name: 'orders' }).fleet().inbound({ portName: port }).build({ epoch: 1, index: 1 });
}

describe('a service', () => {
  test('binds its ports at once, says them on one line, and answers the stream', async () => {
    const fixture = await start('--service orders --app 127.0.0.1:8080 --inbound 0 --outbound 0 --outbound-for payments=15011 --label version=v2');
    expect(fixture.dataPlane.calls).toContain('listen inbound outbound outbound/payments');
    expect(fixture.events).toEqual([{
      event: 'listening', nodeId: 'node-1', subject: 'service/orders', pid: process.pid, admin: fixture.sidecar.admin,
      inbound: '127.0.0.1:40000', outbound: '127.0.0.1:40001', 'outbound/payments': '127.0.0.1:15011',
    }]);
    const { hello } = fixture.controlPlane.last;
    expect(hello).toMatchObject({ advertised: [{ name: 'http', host: '127.0.0.1', port: 40000 }], labels: [{ key: 'version', value: 'v2' }] });
  });

  test('takes the name of the only port, and says Hello again when that is not what it said', async () => {
    const fixture = await start('--service orders --app 127.0.0.1:8080 --inbound 0');
    fixture.controlPlane.last.push(serviceSnapshot('grpc'));
    await settle();
    expect(fixture.controlPlane.streams).toHaveLength(2);
    expect(fixture.controlPlane.last.hello.advertised).toMatchObject([{ name: 'grpc' }]);
    const named = await start('--service orders --app grpc=127.0.0.1:8080 --inbound 0');
    named.controlPlane.last.push(serviceSnapshot('grpc'));
    await settle();
    expect(named.controlPlane.streams).toHaveLength(1);
    expect(named.sidecar.listeners.map(({ name }) => name)).toContain('inbound/grpc');
  });

  test('from disk serves before the control plane is even loaded', async () => {
    const disk = new MemoryDisk();
    disk.generations = [serviceSnapshot('http')];
    const fixture = new SidecarFixture('--service orders --app 127.0.0.1:8080', disk);
    const loading = Promise.withResolvers<never>();
    const starting = fixture.start({ loadConnectors: () => loading.promise });
    await vi.waitFor(() => expect(fixture.events).toHaveLength(1));
    expect(fixture.dataPlane.calls[0]).toMatch(/^prepare/);
    expect(fixture.dataPlane.calls.indexOf('swap 1.1')).toBeLessThan(fixture.dataPlane.calls.indexOf('listen inbound outbound'));
    loading.reject(new Error('no gRPC'));
    await expect(starting).rejects.toThrow('no gRPC');
    expect(fixture.dataPlane.closed).toBe(true);
  });

  test('says at once when its app comes and goes', async () => {
    const fixture = new SidecarFixture('--service orders --app 127.0.0.1:8080');
    fixture.appReady = false;
    running.push(await fixture.start());
    fixture.controlPlane.last.heartbeat();
    expect((await fixture.get('/ready')).status).toBe(503);
    fixture.appReady = true;
    const ready = (): boolean => fixture.controlPlane.last.received.some(({ body }) => body?.$case === 'heartbeat' && body.value.appReady);
    await vi.waitFor(() => expect(ready()).toBe(true), { timeout: 30_000 });
  });
});

describe('a Gateway', () => {
  test('binds what its snapshots say, without a restart, and what the settings say instead', async () => {
    const fixture = await start('--gateway edge --listener extra=0');
    expect(fixture.events.at(-1)).toMatchObject({ 'gateway/extra': '127.0.0.1:40000' });
    fixture.controlPlane.last.push(gatewaySnapshot(1, ['plain', 8080], ['extra', 9090]));
    await vi.waitFor(() => expect(fixture.events.at(-1)).toMatchObject({ 'gateway/extra': '127.0.0.1:40001', 'gateway/plain': '127.0.0.1:8080' }));
    expect(fixture.dataPlane.calls.slice(-2)).toEqual(['listen gateway/extra gateway/plain', 'swap 1.1']);
    fixture.controlPlane.last.push(gatewaySnapshot(2, ['plain', 8081]));
    await vi.waitFor(() => expect(fixture.events.at(-1)).toMatchObject({ 'gateway/plain': '127.0.0.1:8081' }));
    const calls = fixture.dataPlane.calls.length;
    fixture.controlPlane.last.push({ ...gatewaySnapshot(3, ['plain', 8081]), version: { epoch: 1, index: 3 } });
    await settle();
    expect(fixture.dataPlane.calls.slice(calls).filter((call) => call.startsWith('listen'))).toEqual([]);
  });

  test('refuses for now what it cannot bind, by the name of the listener, and keeps what it has', async () => {
    const fixture = await start('--gateway edge');
    fixture.controlPlane.last.push(gatewaySnapshot(1, ['plain', 8080]));
    await vi.waitFor(() => expect(fixture.sidecar.listeners).toHaveLength(1));
    const listen = fixture.dataPlane.listen.bind(fixture.dataPlane);
    const inUse = Object.assign(new Error('the port is in use'), { spec: { portName: 'plain' } });
    fixture.dataPlane.listen = () => Promise.reject(inUse);
    fixture.controlPlane.last.push(gatewaySnapshot(2, ['plain', 80]));
    await vi.waitFor(() => expect(fixture.controlPlane.last.answers.at(-1)).toBe('nack config 1.2 transient port-in-use'));
    expect(fixture.sidecar.client.status.lastRefusal?.errors).toMatchObject([{ resource: 'listener plain', pointer: '/listeners/plain/port' }]);
    expect(fixture.sidecar.listeners).toMatchObject([{ port: 8080 }]);
    fixture.dataPlane.listen = listen;
    fixture.controlPlane.last.push(gatewaySnapshot(2, ['plain', 80]));
    await vi.waitFor(() => expect(fixture.sidecar.listeners).toMatchObject([{ port: 80 }]));
  });

  test('that starts from disk while its port is taken is not ready, and tries again', async () => {
    const disk = new MemoryDisk();
    disk.generations = [gatewaySnapshot(1, ['plain', 8080])];
    const fixture = new SidecarFixture('--gateway edge', disk);
    const listen = fixture.dataPlane.listen.bind(fixture.dataPlane);
    fixture.dataPlane.listen = () => Promise.reject(new Error('the port is in use'));
    running.push(await fixture.start());
    expect((await fixture.get('/ready')).body).toEqual({ ready: false, why: 'the port is in use' });
    fixture.dataPlane.listen = listen;
    await vi.waitFor(() => expect(fixture.sidecar.listeners).toMatchObject([{ port: 8080 }]), { timeout: 30_000 });
  }, 10_000);
});

describe('stopping', () => {
  test('tells the control plane, waits for its word, drains, ends', async () => {
    const fixture = await start('--service orders --app 127.0.0.1:8080');
    fixture.controlPlane.last.push(serviceSnapshot('http'));
    await settle();
    const drained = fixture.sidecar.drain();
    await settle();
    expect(fixture.controlPlane.last.answers).toContain('leaving');
    expect((await fixture.get('/ready')).body).toEqual({ ready: false, why: 'draining' });
    expect(fixture.dataPlane.calls).not.toContain('drain');
    fixture.controlPlane.last.say({ $case: 'safeToStop', value: { stragglers: ['web-1'] } });
    await drained;
    expect(fixture.dataPlane.calls.at(-1)).toBe('drain');
    expect(fixture.dataPlane.closed).toBe(true);
    expect(fixture.lines.join('')).toContain('web-1');
    await fixture.sidecar.ended;
    expect(fixture.sidecar.drain()).toBe(fixture.sidecar.drain());
  });

  test('without a control plane waits the delay', async () => {
    const fixture = await start('--service orders --app 127.0.0.1:8080');
    await fixture.sidecar.drain();
    expect(fixture.dataPlane.calls.at(-1)).toBe('drain');
  });
});

test('a port in use ends the start with its name, and leaves nothing running', async () => {
  const first = await start('--service orders --no-outbound');
  const second = new SidecarFixture('--service orders --no-outbound');
  const { port } = new URL(`http://${first.sidecar.admin}`);
  Object.assign(second.settings, { admin: { host: '127.0.0.1', port: Number(port) } });
  await expect(second.start()).rejects.toThrow(`admin port 127.0.0.1:${port} is in use`);
  expect(second.dataPlane.closed).toBe(true);
});
