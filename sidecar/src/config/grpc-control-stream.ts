import { credentials, status, type ChannelCredentials, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import { PushClient, type ControlMessage, type SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import type { ControlConnector, ControlStream, ControlStreamHandlers } from './control-stream.ts';

/**
 * Channel options of every connection to a control plane. Explicit, because grpc-js has keepalive off, 4 MiB of receive
 * limit, its own retries and a connection shared by all clients of an address.
 */
export const channelOptions = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 0,
  // A manifest of 4,096 pages, a State of 2 MiB and one set that is larger: all below this.
  'grpc.max_receive_message_length': 16_777_216,
  'grpc.max_send_message_length': 4_194_304,
  'grpc.enable_retries': 0,
  'grpc.use_local_subchannel_pool': 1,
  // What TLS calls a control plane, which is known by its certificate and not by its address; an address would be no server name.
  'grpc.ssl_target_name_override': 'control-plane',
  // Reconnecting is the link's business: a channel lives for one stream.
  'grpc.initial_reconnect_backoff_ms': 60_000,
  'grpc.max_reconnect_backoff_ms': 60_000,
} as const;

/** Streams over grpc-js. `security` is asked for each; without it there is no TLS, which the settings allow on loopback only. */
export class GrpcConnector implements ControlConnector {
  readonly #open = new Set<GrpcStream>();
  readonly #security: () => ChannelCredentials;

  constructor(security: () => ChannelCredentials = () => credentials.createInsecure()) {
    this.#security = security;
  }

  connect(address: string, handlers: ControlStreamHandlers): ControlStream {
    const stream = new GrpcStream(address, this.#security(), handlers, () => this.#open.delete(stream));
    this.#open.add(stream);
    return stream;
  }

  close(): void {
    for (const stream of this.#open) stream.close();
  }
}

class GrpcStream implements ControlStream {
  readonly #client: PushClient;
  readonly #call: ClientDuplexStream<SidecarMessage, ControlMessage>;
  readonly #onGone: () => void;
  #over = false;

  constructor(address: string, security: ChannelCredentials, handlers: ControlStreamHandlers, onGone: () => void) {
    this.#onGone = onGone;
    this.#client = new PushClient(address, security, channelOptions);
    this.#call = this.#client.sync();
    const end = (cause: string): void => {
      if (this.#over) return;
      this.#release();
      handlers.onEnd(cause);
    };
    this.#call.on('data', (message: ControlMessage) => {
      if (!this.#over) handlers.onMessage(message);
    });
    this.#call.on('error', (error: ServiceError) => end(describe(error)));
    this.#call.on('end', () => end('the control plane ended the stream'));
  }

  send(message: SidecarMessage): void {
    if (!this.#over) this.#call.write(message);
  }

  close(): void {
    if (!this.#over) this.#release();
  }

  #release(): void {
    this.#over = true;
    this.#call.cancel();
    this.#client.close();
    this.#onGone();
  }
}

function describe(error: ServiceError): string {
  return `${status[error.code] ?? error.code}: ${error.details || error.message}`;
}
