import { logVerbosity, Server, ServerCredentials, setLogVerbosity, status, type ChannelOptions, type ServerDuplexStream, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { PeerFacts } from '@remora/identity/node-identity';
import { PushService, type Query, type QueryReply, type SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import type { Batch, BatchAck } from '@remora/proto/gen/remora/telemetry/v1/telemetry';
import type { RunningPushHub } from './create-push-hub.ts';
import type { QueryStream, SidecarStream, StreamError } from './sidecar-stream.ts';

/** Where telemetry goes. */
export interface ReportReceiver {
  /** Takes one batch; answers why it cannot be used, or null. */
  ingest(batch: Batch, peer: PeerFacts): string | null;
}

export interface GrpcPushServerOptions {
  readonly hub: RunningPushHub;
  readonly telemetry: ReportReceiver;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** TLS with client certificates. Without it anybody who reaches the port can claim to be any sidecar: only loopback then. */
  readonly credentials?: ServerCredentials;
}

export interface RunningGrpcPushServer {
  readonly host: string;
  readonly port: number;
  /** Ends the streams and stops listening; cuts what is left after `graceMs` (default 1 s). */
  close(graceMs?: number): Promise<void>;
}

const options: ChannelOptions = {
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
  'grpc.max_send_message_length': 16 * 1024 * 1024,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_concurrent_streams': 32_768,
  'grpc.enable_channelz': 0,
};

/** The push port over gRPC. Rejects where the address is refused or taken. */
export async function startGrpcPushServer(spec: GrpcPushServerOptions): Promise<RunningGrpcPushServer> {
  if (!isLoopback(spec.host) && spec.credentials === undefined) {
    throw new Error(`The push port may only listen on loopback while sidecars are not authenticated, not on ${spec.host}.`);
  }
  // What goes wrong is told by errors and counters; grpc-js would print it beside them.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server(options);
  server.addService(serviceDefinition, implement(spec));
  const port = await bind(server, hostPort(spec.host, spec.port), spec.credentials ?? ServerCredentials.createInsecure());
  return { host: spec.host, port, close: (graceMs = 1_000) => shutDown(server, hostPort(spec.host, port), graceMs) };
}

// Buffers pass through: one encoded message serves all streams. grpc-js frames (copies) it only when a stream takes it.
const serviceDefinition = {
  ...PushService,
  sync: { ...PushService.sync, responseSerialize: (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) },
};

function implement({ hub, telemetry }: GrpcPushServerOptions): UntypedServiceImplementation {
  return {
    sync: (call: ServerDuplexStream<SidecarMessage, Uint8Array>) => {
      const stream = new GrpcSidecarStream(call);
      const handler = hub.acceptSync(stream);
      stream.onTaken = () => handler.drained();
      call.on('data', (message: SidecarMessage) => handler.message(message));
      onceOver(call, (reason) => handler.closed(reason));
    },
    report: (call: ServerDuplexStream<Batch, BatchAck>) => {
      const peer = peerOf(call);
      call.on('data', (batch: Batch) => {
        const problem = telemetry.ingest(batch, peer);
        if (problem === null) call.write({ sequence: batch.sequence });
        else endCall(call, { code: 'invalid-argument', message: problem });
      });
      onceOver(call, () => {});
    },
    queries: (call: ServerDuplexStream<QueryReply, Query>) => {
      const stream: QueryStream = {
        peer: peerOf(call),
        send: (query) => void call.write(query),
        end: (error) => endCall(call, error),
      };
      const handler = hub.acceptQueries(stream);
      call.on('data', (reply: QueryReply) => handler.message(reply));
      onceOver(call, (reason) => handler.closed(reason));
    },
  };
}

class GrpcSidecarStream implements SidecarStream {
  readonly peer: PeerFacts;
  bufferedBytes = 0;
  onTaken: () => void = () => {};
  readonly #call: ServerDuplexStream<SidecarMessage, Uint8Array>;

  constructor(call: ServerDuplexStream<SidecarMessage, Uint8Array>) {
    this.#call = call;
    this.peer = peerOf(call);
  }

  send(message: Uint8Array): void {
    if (this.#call.writableEnded || this.#call.destroyed) return;
    this.bufferedBytes += message.length;
    // After a cancelled call the callback never comes; `closed` does.
    this.#call.write(message, () => {
      this.bufferedBytes -= message.length;
      this.onTaken();
    });
  }

  end(error?: StreamError): void {
    endCall(this.#call, error);
  }

  destroy(): void {
    endCall(this.#call, { code: 'unavailable', message: 'The stream did not answer in time.' });
    // A peer that does not read would keep the stream, and what is queued in it, until it goes away itself.
    resetStream(this.#call);
  }
}

const statusCodes: Readonly<Record<StreamError['code'], status>> = {
  'invalid-argument': status.INVALID_ARGUMENT,
  'deadline-exceeded': status.DEADLINE_EXCEEDED,
  unavailable: status.UNAVAILABLE,
};

function endCall(call: ServerDuplexStream<never, never> | ServerDuplexStream<unknown, unknown>, error?: StreamError): void {
  if (call.writableEnded) return;
  // grpc-js turns an `error` event into the status and trailers of the call.
  if (error) (call as ServerDuplexStream<unknown, unknown>).emit('error', { code: statusCodes[error.code], details: error.message });
  else call.end();
}

const cancelCode = 8;

/** There is no public way to reset the HTTP/2 stream of a call; where the inside looks otherwise, keepalive ends it later. */
function resetStream(call: unknown): void {
  const inner = (call as { readonly call?: { readonly stream?: { readonly close?: (code: number) => void } } }).call;
  inner?.stream?.close?.(cancelCode);
}

/** grpc-js tells the end in several ways, depending on who ended it. */
function onceOver<A, B>(call: ServerDuplexStream<A, B>, over: (reason: string) => void): void {
  let told = false;
  const tell = (reason: string): void => {
    if (told) return;
    told = true;
    over(reason);
    if (!call.writableEnded) call.end();
  };
  call.on('end', () => tell('ended by the sidecar'));
  call.on('cancelled', () => tell('connection lost'));
  call.on('error', (error: Error) => tell(error.message));
  call.on('close', () => tell('closed'));
}

function peerOf<A, B>(call: ServerDuplexStream<A, B>): PeerFacts {
  const certificate = call.getAuthContext().sslPeerCertificate;
  return { address: call.getPeer(), certificates: certificate ? [certificate.raw] : [] };
}

function bind(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error) reject(new Error(`The push port cannot listen on ${address}: ${error.message}`, { cause: error }));
      else resolve(port);
    });
  });
}

/** `drain` cuts what is left; `forceShutdown` would not: without channelz grpc-js does not know its sessions. */
function shutDown(server: Server, address: string, graceMs: number): Promise<void> {
  server.drain(address, graceMs);
  return new Promise((resolve) => {
    server.tryShutdown(() => resolve());
  });
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
