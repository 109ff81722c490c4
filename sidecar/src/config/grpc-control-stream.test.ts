import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { seededRandom } from '@remora/core/random';
import { systemClock, systemTimers } from '@remora/core/clock';
import { PushService, type ControlMessage, type Query, type QueryReply, type SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import type { Batch, BatchAck } from '@remora/proto/gen/remora/telemetry/v1/telemetry';
import { buildIdentity } from '@remora/snapshot/build';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { RecordingDataPlane } from '../threads/recording-data-plane.ts';
import { GrpcTelemetryConnector } from '../telemetry/grpc-telemetry-stream.ts';
import { TelemetrySender } from '../telemetry/telemetry-sender.ts';
import { ConfigClient } from './config-client.ts';
import { GrpcConnector } from './grpc-control-stream.ts';
import { edge, snapshot } from './testdata/client-fixture.ts';
import { MemoryDisk } from './testdata/memory-disk.ts';
import { ScriptedStream } from './testdata/scripted-control-plane.ts';

/** A real gRPC server whose streams are scripted. */
class GrpcScript {
  readonly #server = new Server();
  readonly streams: { readonly script: ScriptedStream; readonly call: ServerDuplexStream<SidecarMessage, ControlMessage> }[] = [];
  readonly batches: Batch[] = [];
  readonly replies: QueryReply[] = [];
  reports = 0;
  queries: ServerDuplexStream<QueryReply, Query> | null = null;
  address = '';

  async start(address = '127.0.0.1:0'): Promise<this> {
    this.#server.addService(PushService, {
      sync: (call: ServerDuplexStream<SidecarMessage, ControlMessage>) => {
        const script = new ScriptedStream('', { onMessage: (message) => call.write(message), onEnd: () => call.end() });
        call.on('data', (message: SidecarMessage) => script.send(message));
        call.on('error', () => {});
        this.streams.push({ script, call });
      },
      report: (call: ServerDuplexStream<Batch, BatchAck>) => {
        this.reports++;
        call.on('data', (batch: Batch) => {
          this.batches.push(batch);
          call.write({ sequence: batch.sequence });
        });
        call.on('error', () => {});
      },
      queries: (call: ServerDuplexStream<QueryReply, Query>) => {
        this.queries = call;
        call.on('data', (reply: QueryReply) => this.replies.push(reply));
        call.on('error', () => {});
      },
    });
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)));
    this.address = `127.0.0.1:${await promise}`;
    return this;
  }

  kill(): void {
    this.#server.forceShutdown();
  }

  get last(): ScriptedStream {
    const stream = this.streams.at(-1);
    if (!stream) throw new Error('no stream');
    return stream.script;
  }
}

let script: GrpcScript;
let client: ConfigClient;
let dataPlane: RecordingDataPlane;
const connector = new GrpcConnector();

beforeEach(async () => {
  script = await new GrpcScript().start();
  dataPlane = new RecordingDataPlane();
  const note = { name: 'note', format: 1, side: 'provider' as const, reasons: [], decode: (bytes: Uint8Array) => Buffer.from(bytes).toString() };
  client = new ConfigClient({
    instance: { nodeId: 'edge-1', subject: edge, labels: { zone: 'a' }, locality: 'eu/1', protocols: ['http/1.1'], advertised: () => [], appReady: () => true },
    build: buildIdentity('test', [note]), kinds: new Map([['note', note]]), dataPlane, disk: new MemoryDisk(), addresses: [script.address],
    clock: systemClock, timers: systemTimers, random: seededRandom(1), pause: () => Promise.resolve(), processFacts: { rssBytes: () => 1, takeCpuShare: () => 0 },
    times: { heartbeatMs: 100, silenceMs: 2_000, backoffBaseMs: 20, backoffCapMs: 100, goodAfterMs: 1_000, retryAfterMaxMs: 1_000 },
  });
});
afterEach(async () => {
  await client.close();
  connector.close();
  script.kill();
});

describe('over gRPC on loopback', () => {
  test('a snapshot of many resources is applied and acknowledged; heartbeats flow', async () => {
    client.connect(connector);
    await vi.waitFor(() => expect(script.streams).toHaveLength(1));
    await vi.waitFor(() => expect(script.last.received.length).toBeGreaterThan(0));
    expect(script.last.hello).toMatchObject({ nodeId: 'edge-1', subjectName: 'edge', locality: 'eu/1', labels: [{ key: 'zone', value: 'a' }] });
    script.last.push(snapshot(1, { routes: 500 }));
    await vi.waitFor(() => expect(script.last.answers).toEqual(['ack config 1.1']));
    expect(dataPlane.current?.candidate.resources.size).toBeGreaterThan(600);
    await vi.waitFor(() => expect(script.last.received.some(({ body }) => body?.$case === 'heartbeat' && body.value.config?.persisted === true)).toBe(true));
  });

  test('a control plane that is killed and comes back on its address is found again', async () => {
    client.connect(connector);
    await vi.waitFor(() => expect(script.streams).toHaveLength(1));
    script.last.push(snapshot(1));
    await vi.waitFor(() => expect(script.last.answers).toEqual(['ack config 1.1']));
    const { address } = script;
    script.kill();
    await vi.waitFor(() => expect(client.status.link.connected).toBe(false));
    expect(client.status.link.staleSinceMs).toBeGreaterThan(0);
    expect(dataPlane.current?.version.index).toBe(1);
    script = await new GrpcScript().start(address);
    await vi.waitFor(() => expect(script.last.received.length).toBeGreaterThan(0), { timeout: 30_000 });
    expect(script.last.hello.config?.version).toEqual({ epoch: 1n, index: 1n });
    script.last.unchanged(snapshot(1));
    await vi.waitFor(() => expect(client.status.link.connected).toBe(true));
  });

  test('a stream that hangs is given up', async () => {
    client.connect(connector);
    await vi.waitFor(() => expect(script.streams).toHaveLength(1));
    await vi.waitFor(() => expect(script.streams.length).toBeGreaterThan(1), { timeout: 30_000 });
  });

  test('telemetry goes on a connection of its own, which also answers questions', async () => {
    const sender = new TelemetrySender({
      connector: new GrpcTelemetryConnector(), address: () => script.address, node: { nodeId: 'edge-1', incarnation: 7, subject: edge }, readSeries: () => [],
      answer: (query) => (query.question?.$case === 'why' ? Promise.resolve('{"a":1}') : Promise.reject(new Error('not that'))),
      intervalMs: 50, clock: systemClock, timers: systemTimers, random: seededRandom(1),
    });
    sender.start();
    sender.event('started', 'hello', { a: 'b' });
    await vi.waitFor(() => expect(script.batches.length).toBeGreaterThan(2));
    expect(script.batches[0]).toMatchObject({ nodeId: 'edge-1', incarnation: 7n, sequence: 1n, events: [{ type: 'started', attributes: { a: 'b' } }] });
    expect(script.batches[1]?.events).toEqual([]);
    expect(script.replies[0]).toMatchObject({ id: 0n, nodeId: 'edge-1', incarnation: 7n });
    script.queries?.write({ id: 3n, timeoutMs: 10_000, question: { $case: 'why', value: { requestId: 'x' } } });
    script.queries?.write({ id: 4n, timeoutMs: 10_000, question: { $case: 'inspect', value: { what: 'x', request: '' } } });
    await vi.waitFor(() => expect(script.replies.slice(1)).toMatchObject([{ id: 3n, json: '{"a":1}' }, { id: 4n, error: 'not that' }]));
    sender.stop();
  });
});
