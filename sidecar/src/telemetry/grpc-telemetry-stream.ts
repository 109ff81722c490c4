import { credentials, status, type ChannelCredentials, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import { PushClient, type Query, type QueryReply } from '@remora/proto/gen/remora/push/v1/push';
import type { Batch, BatchAck } from '@remora/proto/gen/remora/telemetry/v1/telemetry';
import { channelOptions } from '../config/grpc-control-stream.ts';
import type { TelemetryConnector, TelemetryStream, TelemetryStreamHandlers } from './telemetry-stream.ts';

/** Report and Queries over one channel of its own. */
export class GrpcTelemetryConnector implements TelemetryConnector {
  readonly #security: () => ChannelCredentials;

  constructor(security: () => ChannelCredentials = () => credentials.createInsecure()) {
    this.#security = security;
  }

  connect(address: string, handlers: TelemetryStreamHandlers): TelemetryStream {
    return new GrpcTelemetryStream(address, this.#security(), handlers);
  }
}

class GrpcTelemetryStream implements TelemetryStream {
  readonly #client: PushClient;
  readonly #report: ClientDuplexStream<Batch, BatchAck>;
  readonly #queries: ClientDuplexStream<QueryReply, Query>;
  #over = false;

  constructor(address: string, security: ChannelCredentials, handlers: TelemetryStreamHandlers) {
    this.#client = new PushClient(address, security, channelOptions);
    this.#report = this.#client.report();
    this.#queries = this.#client.queries();
    const end = (cause: string): void => {
      if (this.#over) return;
      this.close();
      handlers.onEnd(cause);
    };
    this.#report.on('data', (ack: BatchAck) => handlers.onAck(Number(ack.sequence)));
    this.#queries.on('data', (query: Query) => {
      if (!this.#over) handlers.onQuery(query);
    });
    for (const call of [this.#report, this.#queries]) {
      call.on('error', (error: ServiceError) => end(`${status[error.code] ?? error.code}: ${error.details || error.message}`));
      call.on('end', () => end('the control plane ended the stream'));
    }
  }

  sendBatch(batch: Batch): void {
    if (!this.#over) this.#report.write(batch);
  }

  sendReply(reply: QueryReply): void {
    if (!this.#over) this.#queries.write(reply);
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#report.cancel();
    this.#queries.cancel();
    this.#client.close();
  }
}
