import http from 'node:http';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { endpointOf } from '../testdata/exchange-server.ts';
import { GatewayRig, type RigOptions } from '../testdata/gateway-rig.ts';

/** grpc-js on both sides of a gateway. Messages are bytes: no schema is needed. */
const bytes = (value: Buffer): Buffer => value;
const method = (name: string, requestStream: boolean, responseStream: boolean): grpc.MethodDefinition<Buffer, Buffer> => ({
  path: `/test.Echo/${name}`, requestStream, responseStream, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes,
});
const service = { unary: method('Unary', false, false), collect: method('Collect', true, false), repeat: method('Repeat', false, true), talk: method('Talk', true, true) };
interface EchoClient extends grpc.Client {
  unary(message: Buffer, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<Buffer>): grpc.ClientUnaryCall;
  collect(metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<Buffer>): grpc.ClientWritableStream<Buffer>;
  repeat(message: Buffer, metadata: grpc.Metadata, options: grpc.CallOptions): grpc.ClientReadableStream<Buffer>;
  talk(metadata: grpc.Metadata, options: grpc.CallOptions): grpc.ClientDuplexStream<Buffer, Buffer>;
}
const EchoClient = grpc.makeGenericClientConstructor(service, 'test.Echo') as unknown as new (address: string, credentials: grpc.ChannelCredentials, options?: grpc.ClientOptions) => EchoClient;

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** What the server saw of the last call. */
interface Seen {
  metadata: grpc.Metadata;
  deadlineMs: number;
  cancelled: boolean;
}

async function setUp(options: Partial<RigOptions> = {}, serverOptions: grpc.ServerOptions = {}) {
  const seen: Seen = { metadata: new grpc.Metadata(), deadlineMs: 0, cancelled: false };
  const server = new grpc.Server(serverOptions);
  server.addService(service, handlers(seen));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  closers.push(() => server.forceShutdown());
  const rig = await GatewayRig.start({ upstreams: [], endpoints: [endpointOf('http2', port)], retries: {}, ...options });
  closers.push(() => rig.close());
  const client = new EchoClient(`127.0.0.1:${rig.port}`, grpc.credentials.createInsecure());
  closers.push(() => client.close());
  return { rig, client, seen, server, port };
}

const { CANCELLED, INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED } = grpc.status;
const failures: ReadonlyMap<string, grpc.status> = new Map([CANCELLED, INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED].map((code) => [`fail ${code}`, code]));

interface NotedCall {
  readonly metadata: grpc.Metadata;
  getDeadline(): grpc.Deadline;
  on(event: 'cancelled', listener: () => void): unknown;
}

function handlers(seen: Seen): grpc.UntypedServiceImplementation {
  const note = (call: NotedCall): void => {
    seen.metadata = call.metadata;
    seen.deadlineMs = Number(call.getDeadline()) - Date.now();
    call.on('cancelled', () => {
      seen.cancelled = true;
    });
  };
  return {
    unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, callback: grpc.sendUnaryData<Buffer>) => {
      note(call);
      const text = call.request.toString('latin1');
      const code = failures.get(text);
      if (code !== undefined) callback({ code, details: 'as asked: 100 % grün' });
      else if (text !== 'silence') callback(null, call.request, reply(call.metadata));
    },
    collect: (call: grpc.ServerReadableStream<Buffer, Buffer>, callback: grpc.sendUnaryData<Buffer>) => {
      note(call);
      const parts: Buffer[] = [];
      call.on('data', (part: Buffer) => parts.push(part));
      call.on('end', () => callback(null, Buffer.concat(parts)));
    },
    repeat: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      note(call);
      const [times = '1', last = '0'] = call.request.toString().split(' ');
      for (let i = 0; i < Number(times); i++) call.write(Buffer.from(String(i)));
      if (last === 'hold') return;
      if (last === '0') call.end();
      else call.emit('error', { code: Number(last), details: 'after all' });
    },
    talk: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      note(call);
      call.on('data', (part: Buffer) => call.write(Buffer.from(part.toString().toUpperCase())));
      call.on('end', () => call.end());
    },
  };
}

function reply(metadata: grpc.Metadata): grpc.Metadata {
  const trailers = new grpc.Metadata();
  for (const value of metadata.get('x-data-bin')) trailers.add('x-back-bin', value);
  return trailers;
}

interface Outcome {
  readonly code: number;
  readonly details: string;
  readonly value: string;
  readonly trailers: grpc.Metadata;
}

function unary(client: EchoClient, message: string | Buffer, options: grpc.CallOptions = {}, metadata = new grpc.Metadata()): Promise<Outcome> {
  return new Promise((resolve) => {
    let value: Buffer = Buffer.alloc(0);
    const call = client.unary(Buffer.from(message as string, 'latin1'), metadata, { deadline: Date.now() + 15_000, ...options }, (_error, answer) => {
      value = answer ?? value;
    });
    call.on('status', ({ code, details, metadata: trailers }) => resolve({ code, details, value: value.toString('latin1'), trailers }));
  });
}

describe('gRPC', () => {
  it('unary calls go through, with metadata of both kinds and trailers', async () => {
    const { client } = await setUp();
    const metadata = new grpc.Metadata();
    metadata.set('x-text', 'plain');
    metadata.set('x-data-bin', Buffer.from([0, 1, 255]));
    const outcome = await unary(client, 'hello', {}, metadata);
    expect(outcome).toMatchObject({ code: 0, value: 'hello' });
    expect(outcome.trailers.get('x-back-bin')).toEqual([Buffer.from([0, 1, 255])]);
  });

  it('messages of megabytes go through', async () => {
    const { client } = await setUp();
    const large = Buffer.alloc(3_000_000, 'x');
    expect((await unary(client, large)).value).toHaveLength(large.length);
  });

  it('a client streams, the server answers once', async () => {
    const { client } = await setUp();
    const answer = await new Promise<string>((resolve, reject) => {
      const call = client.collect(new grpc.Metadata(), {}, (error, value) => (error ? reject(error) : resolve(value?.toString() ?? '')));
      for (const part of ['a', 'b', 'c']) call.write(Buffer.from(part));
      call.end();
    });
    expect(answer).toBe('abc');
  });

  it('a server streams', async () => {
    const { client } = await setUp();
    const parts: string[] = [];
    for await (const part of client.repeat(Buffer.from('1000'), new grpc.Metadata(), {})) parts.push(String(part));
    expect(parts).toEqual(Array.from({ length: 1000 }, (_, i) => String(i)));
  });

  it('both sides talk, turn by turn, before either has ended', async () => {
    const { client } = await setUp();
    const call = client.talk(new grpc.Metadata(), {});
    for (const word of ['one', 'two', 'three']) {
      const answer = new Promise<Buffer>((resolve) => call.once('data', resolve));
      call.write(Buffer.from(word));
      expect((await answer).toString()).toBe(word.toUpperCase());
    }
    const ended = new Promise<number>((resolve) => call.on('status', ({ code }) => resolve(code)));
    call.end();
    expect(await ended).toBe(0);
  });

  it.each([1, 3, 5, 8, 13, 14, 16])('status %i of the server reaches the client, with its message', async (code) => {
    const { client, rig } = await setUp();
    expect(await unary(client, `fail ${code}`)).toMatchObject({ code, details: 'as asked: 100 % grün' });
    // A gRPC error with HTTP 200 is an error in figures.
    const classes = rig.plane.readSeries()[0]?.statusClasses ?? [];
    expect([classes[2], (classes[4] ?? 0) + (classes[5] ?? 0)]).toEqual([0, 1]);
    expect(rig.plane.readSeries()[0]?.grpcCodes.flatMap((count, index) => Array<number>(count).fill(index))).toEqual([code]);
  });

  it('a status after messages reaches the client behind them', async () => {
    const { client } = await setUp();
    const call = client.repeat(Buffer.from('3 9'), new grpc.Metadata(), {});
    const parts: string[] = [];
    call.on('data', (part: Buffer) => parts.push(part.toString()));
    call.on('error', () => {});
    const code = await new Promise<number>((resolve) => call.on('status', (status) => resolve(status.code)));
    expect([parts, code]).toEqual([['0', '1', '2'], 9]);
  });

  it('the deadline of the client is told on, shortened, and ends the call', async () => {
    const { client, seen } = await setUp();
    await unary(client, 'hello', { deadline: Date.now() + 5000 });
    expect(seen.deadlineMs).toBeLessThanOrEqual(5000);
    expect(seen.deadlineMs).toBeGreaterThan(3000);
    expect((await unary(client, 'silence', { deadline: Date.now() + 1_000 })).code).toBe(grpc.status.DEADLINE_EXCEEDED);
    await vi.waitUntil(() => seen.cancelled);
  });

  it('a limit of ours is DEADLINE_EXCEEDED, before the head and after it', async () => {
    const { client } = await setUp({ timeouts: { request: '800ms', idle: '800ms' } });
    const before = await unary(client, 'silence');
    expect([before.code, before.details]).toEqual([grpc.status.DEADLINE_EXCEEDED, 'The instance did not answer in time.']);
    const call = client.repeat(Buffer.from('2 hold'), new grpc.Metadata(), {});
    const parts: string[] = [];
    call.on('data', (part: Buffer) => parts.push(part.toString()));
    call.on('error', () => {});
    const status = await new Promise<grpc.StatusObject>((resolve) => call.on('status', resolve));
    expect([parts, status.code, status.details]).toEqual([['0', '1'], grpc.status.DEADLINE_EXCEEDED, 'The exchange was idle for too long.']);
  });

  it('a client that cancels is heard by the server', async () => {
    const { client, seen, rig } = await setUp();
    const call = client.repeat(Buffer.from('1 hold'), new grpc.Metadata(), {});
    call.on('error', () => {});
    await new Promise((resolve) => call.once('data', resolve));
    call.cancel();
    await vi.waitUntil(() => seen.cancelled);
    expect(seen.cancelled).toBe(true);
    client.close();
    await rig.untilNothingIsLeft();
  });

  it('refusals of ours are statuses', async () => {
    const { client, rig } = await setUp({ endpoints: [] });
    expect(await unary(client, 'x')).toMatchObject({ code: grpc.status.UNAVAILABLE, details: 'No instance can take this request.' });
    await rig.apply(rig.candidate({ routes: [{ name: 'other', match: { path: { kind: { $case: 'prefix', value: '/elsewhere' } } } }] }));
    expect(await unary(client, 'x')).toMatchObject({ code: grpc.status.UNIMPLEMENTED, details: 'No route matches this request.' });
  });

  it('an instance that is gone is UNAVAILABLE', async () => {
    const { client, server } = await setUp();
    server.forceShutdown();
    expect((await unary(client, 'x')).code).toBe(grpc.status.UNAVAILABLE);
  });

  it('a code that retryOn names is tried again', async () => {
    const { client, rig } = await setUp({ retries: { retries: 2, retryOn: ['unavailable'] } });
    await unary(client, 'fail 14');
    expect(rig.plane.readSeries()[0]?.retries).toBe(2);
    await unary(client, 'fail 5');
    expect(rig.plane.readSeries()[0]?.retries).toBe(2);
  });

  // grpc-js closes a connection without calls at once behind its GOAWAY, though RFC 9113 section 6.8 asks for a round trip between: what is on its way then is lost
  // with nobody to say whether it was looked at. So a call may fail, once in thousands; what the peer does say is tested frame by frame in http2-upstream.test.ts.
  it('connections that the server ends by age go on with the next', async () => {
    const { client, rig } = await setUp({}, { 'grpc.max_connection_age_ms': 60, 'grpc.max_connection_age_grace_ms': 2000 });
    const outcomes: string[] = [];
    const end = Date.now() + 1500;
    await Promise.all(Array.from({ length: 4 }, async () => {
      while (Date.now() < end) {
        const { code, details } = await unary(client, 'x');
        outcomes.push(`${code} ${details}`);
      }
    }));
    const lost = outcomes.filter((outcome) => outcome !== '0 OK');
    expect(new Set(lost).difference(new Set(['14 The instance closed the connection before it answered.']))).toEqual(new Set());
    expect(lost.length).toBeLessThanOrEqual(2);
    const { threads } = (await rig.plane.describe()) as { threads: { counters: Record<string, number> }[] };
    expect(threads[0]?.counters['upstream_goaway'] ?? 0).toBeGreaterThan(2);
  });

  it('from a client of HTTP/1.1 keeps its body and trailers', async () => {
    const { rig } = await setUp();
    const answer = await new Promise<{ body: Buffer; trailers: NodeJS.Dict<string>; headers: http.IncomingHttpHeaders }>((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port: rig.port, method: 'POST', path: '/test.Echo/Unary', headers: { 'content-type': 'application/grpc', te: 'trailers' } }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () => resolve({ body: Buffer.concat(parts), trailers: response.trailers, headers: response.headers }));
      });
      request.on('error', reject);
      request.end(Buffer.from([0, 0, 0, 0, 2, 104, 105]));
    });
    expect(answer.body).toEqual(Buffer.from([0, 0, 0, 0, 2, 104, 105]));
    expect(answer.trailers['grpc-status']).toBe('0');
  });
});
