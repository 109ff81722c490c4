import type { PeerFacts } from '@remora/identity/node-identity';
import type { Query, QueryReply, SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';

/**
 * One Sync stream as the hub sees it. Two implementations: gRPC (`grpc-push-server.ts`) and in memory
 * (`memory-stream.ts`). Messages are encoded before they get here, because most of them go to many streams.
 */
export interface SidecarStream {
  readonly peer: PeerFacts;
  /** Queues an encoded ControlMessage. The bytes are shared and must not be changed. */
  send(message: Uint8Array): void;
  /** Bytes queued and not yet taken by the transport. The hub sends nothing large above its mark. */
  readonly bufferedBytes: number;
  /** Ends after what was sent. `error` ends with that status instead of OK. */
  end(error?: StreamError): void;
  /** Cuts the connection: for peers that do not read. */
  destroy(): void;
}

export interface StreamError {
  readonly code: 'invalid-argument' | 'deadline-exceeded' | 'unavailable';
  readonly message: string;
}

/** What the transport calls, never from within `send`. After `closed` nothing more. */
export interface SidecarStreamHandler {
  message(message: SidecarMessage): void;
  /** Some queued bytes were taken. */
  drained(): void;
  closed(reason: string): void;
}

/** One Queries stream. Queries are small: at most `questionsPerSidecar` of them are open. */
export interface QueryStream {
  readonly peer: PeerFacts;
  send(query: Query): void;
  end(error?: StreamError): void;
}

export interface QueryStreamHandler {
  message(reply: QueryReply): void;
  closed(reason: string): void;
}
