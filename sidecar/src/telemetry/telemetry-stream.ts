import type { Query, QueryReply } from '@remora/proto/gen/remora/push/v1/push';
import type { Batch } from '@remora/proto/gen/remora/telemetry/v1/telemetry';

/** The connection that carries telemetry up and questions down, apart from the config stream: neither delays the other. */
export interface TelemetryStream {
  sendBatch(batch: Batch): void;
  sendReply(reply: QueryReply): void;
  /** `onEnd` is not called. */
  close(): void;
}

export interface TelemetryStreamHandlers {
  onAck(sequence: number): void;
  onQuery(query: Query): void;
  /** Once. */
  onEnd(cause: string): void;
}

/** Never throws: what cannot be connected ends later. */
export interface TelemetryConnector {
  connect(address: string, handlers: TelemetryStreamHandlers): TelemetryStream;
}
