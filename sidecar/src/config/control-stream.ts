import type { ControlMessage, SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';

/**
 * One stream to a control plane, above gRPC: the same config client runs over gRPC, in memory and in the simulator.
 * Messages arrive in order; after `onEnd` or `close` nothing arrives.
 */
export interface ControlStream {
  /** Queues a message. Ignored after the end of the stream. */
  send(message: SidecarMessage): void;
  /** Ends the stream; `onEnd` is not called. */
  close(): void;
}

export interface ControlStreamHandlers {
  onMessage(message: ControlMessage): void;
  /** Once. The cause is for people. */
  onEnd(cause: string): void;
}

/** Opens streams. Never throws: what cannot be connected ends later. */
export interface ControlConnector {
  connect(address: string, handlers: ControlStreamHandlers): ControlStream;
  /** Releases channels. */
  close(): void;
}
