import { Client, credentials, status, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import { createServer } from 'node:net';
import { systemClock, systemTimers, type Clock, type Timers } from '@remora/core/clock';
import { systemRandom } from '@remora/core/random';
import { claimedIdentity } from '@remora/identity/node-identity';
import { PushService, type ControlMessage, type Query, type QueryReply, type SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createInstanceRegistry } from '../instances/create-instance-registry.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { createTelemetryHub } from '../telemetry/create-telemetry-hub.ts';
import { createPushHub, type RunningPushHub } from './create-push-hub.ts';
import { startGrpcPushServer, type RunningGrpcPushServer } from './grpc-push-server.ts';
import type { PushLimits } from './push-limits.ts';
import { ManualTime } from './testdata/manual-time.ts';
import { compileSamples, type SampleSubject } from './testdata/sample-content.ts';
import { TestSidecar } from './testdata/test-sidecar.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const systemTime: Clock & Timers = { ...systemClock, ...systemTimers };

interface Running {
  readonly hub: RunningPushHub;
  readonly server: RunningGrpcPushServer;
  readonly client: Client;
  readonly publish: (samples: Readonly<Record<`service/${string}`, SampleSubject>>) => number;
}

/** `time`: of the hub, which then only moves when told. */
async function start(limits: Partial<PushLimits> = {}, time: Clock & Timers = systemTime): Promise<Running> {
  const store = createMemoryStore({ clock: systemClock });
  const registry = createInstanceRegistry({ clock: systemClock, timers: systemTimers, store });
  const telemetry = createTelemetryHub({ clock: systemClock, timers: systemTimers, identity: claimedIdentity });
  const hub = createPushHub({ clock: time, timers: time, random: systemRandom, soon: setImmediate, store, registry, identity: claimedIdentity, limits });
  const server = await startGrpcPushServer({ hub, telemetry, host: '127.0.0.1', port: 0 });
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  closing.push(() => telemetry.close(), () => registry.close(), () => hub.close(), () => server.close(200), () => client.close());
  let index = 0;
  return {
    hub, server, client,
    publish(samples) {
      hub.publish({ version: { epoch: 100, index: ++index }, compilation: compileSamples(samples), changed: new Set(), grants: [], committedAtMs: Date.now() });
      return index;
    },
  };
}

function connect(client: Client, sidecar: TestSidecar): { call: ClientDuplexStream<SidecarMessage, ControlMessage>; ended: Promise<number> } {
  const { sync } = PushService;
  const call = client.makeBidiStreamRequest(sync.path, (message: SidecarMessage) => sync.requestSerialize(message), (bytes) => sync.responseDeserialize(bytes));
  const { promise, resolve } = Promise.withResolvers<number>();
  call.on('data', (message: ControlMessage) => sidecar.receive(message));
  call.on('error', (error: ServiceError) => resolve(error.code));
  call.on('end', () => resolve(status.OK));
  sidecar.open((message) => call.write(message));
  return { call, ended: promise };
}

const web = { kind: 'service', name: 'web' } as const;

describe('the push port over gRPC', () => {
  test('pushes, and knows from the ACK that it is enforced', async () => {
    const { hub, client, publish } = await start();
    publish({ 'service/web': { resources: ['a'] } });
    const sidecar = new TestSidecar({ nodeId: 'web-1', subject: web });
    connect(client, sidecar);
    await vi.waitFor(() => expect(hub.sidecar('web-1')?.phase).toBe('in-sync'));
    const index = publish({ 'service/web': { resources: Array.from({ length: 2_000 }, (_, i) => `r${i}`) } });
    await expect(hub.waitApplied(index, 5_000)).resolves.toMatchObject({ done: true, sidecars: [{ outcome: 'applied' }] });
    expect(sidecar.enforced()).toHaveLength(2_000);
    expect(sidecar.violations).toEqual([]);
    expect(hub.sidecar('web-1')?.address).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  test('asks sidecars, and names those that do not answer', async () => {
    const { hub, client, publish } = await start();
    publish({ 'service/web': { resources: ['a'] } });
    for (const nodeId of ['web-1', 'web-2']) connect(client, new TestSidecar({ nodeId, subject: web }));
    await vi.waitFor(() => expect(hub.sidecars().filter(({ phase }) => phase === 'in-sync')).toHaveLength(2));
    const { queries } = PushService;
    const call = client.makeBidiStreamRequest(queries.path, (reply: QueryReply) => queries.requestSerialize(reply), (bytes) => queries.responseDeserialize(bytes));
    call.on('error', () => {});
    call.on('data', ({ id, question }: Query) => call.write({ id, nodeId: '', incarnation: 0n, json: JSON.stringify(question?.$case === 'why' ? [question.value.requestId] : {}), error: '' }));
    call.write({ id: 0n, nodeId: 'web-1', incarnation: 1n, json: '', error: '' });
    await vi.waitFor(async () => expect(await hub.ask('web-1', { why: 'r-1' }, 1_000)).toEqual(['r-1']));
    await expect(hub.ask('web-2', { why: 'r-1' }, 1_000)).rejects.toMatchObject({ code: 'offline' });
    const { answers, silent } = await hub.askAll({ why: 'r-1' }, 1_000);
    expect([[...answers.keys()], silent]).toEqual([['web-1'], ['web-2']]);
  });

  test('ends streams that begin with something else, saying why', async () => {
    const { client } = await start();
    const sidecar = new TestSidecar({ nodeId: 'web-1', subject: web });
    const { call, ended } = connect(client, sidecar);
    call.write({ body: { $case: 'hello', value: sidecar.hello() } });
    await expect(ended).resolves.toBe(status.INVALID_ARGUMENT);
  });

  test('turns away, and ends, sidecars of unknown services', async () => {
    const { client, publish } = await start();
    publish({ 'service/web': { resources: ['a'] } });
    const sidecar = new TestSidecar({ nodeId: 'wbe-1', subject: { kind: 'service', name: 'wbe' } });
    await expect(connect(client, sidecar).ended).resolves.toBe(status.OK);
    expect(sidecar.log).toEqual(['rejected unknown-service']);
  });

  // The hub's time stands still until the healthy sidecar has everything: on a busy machine it may take longer than any limit
  // under test, and was then cut as well.
  test('cuts a stream that does not read, and the others do not notice', async () => {
    const time = new ManualTime();
    const { hub, client, publish } = await start({ ackTimeoutMs: 1_500, silenceMs: 60_000 }, time);
    publish({ 'service/web': { resources: ['a'] } });
    const stuck = new TestSidecar({ nodeId: 'stuck', subject: web });
    const { call, ended } = connect(client, stuck);
    connect(client, new TestSidecar({ nodeId: 'live', subject: web }));
    await vi.waitFor(() => expect(hub.sidecars().filter(({ phase }) => phase === 'in-sync')).toHaveLength(2));
    call.pause();
    for (let round = 0; round < 5; round++) {
      const index = publish({ 'service/web': { resources: Array.from({ length: 20_000 }, (_, i) => `round-${round}-${i}`) } });
      await vi.waitFor(() => expect(hub.enforcement(index)?.sidecars.find(({ nodeId }) => nodeId === 'live')?.outcome).toBe('applied'), { timeout: 60_000 });
    }
    time.advance(3_000);
    expect(hub.sidecar('stuck')?.connected).toBe(false);
    call.resume();
    await expect(ended).resolves.not.toBe(status.OK);
    expect(hub.sidecar('live')?.phase).toBe('in-sync');
  }, 300_000);

  test('says which address is taken, and refuses to listen for the world', async () => {
    const { hub } = await start();
    const telemetry = { ingest: () => null };
    const taken = createServer().listen(0, '127.0.0.1');
    closing.push(() => taken.close());
    await vi.waitFor(() => expect(taken.address()).not.toBeNull());
    const address = taken.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    await expect(startGrpcPushServer({ hub, telemetry, host: '127.0.0.1', port })).rejects.toThrow(`127.0.0.1:${port}`);
    await expect(startGrpcPushServer({ hub, telemetry, host: '0.0.0.0', port: 0 })).rejects.toThrow(/loopback/);
  });
});
