import { credentials } from '@grpc/grpc-js';
import type { Clock } from '@remora/core/clock';
import type { SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import type { ControlConnector, ControlStream, ControlStreamHandlers } from '../config/control-stream.ts';
import { GrpcConnector } from '../config/grpc-control-stream.ts';
import type { Connectors } from '../sidecar-environment.ts';
import { GrpcTelemetryConnector } from '../telemetry/grpc-telemetry-stream.ts';
import type { TelemetryConnector } from '../telemetry/telemetry-stream.ts';
import type { CertificateStatus } from '../tls/certificate-files.ts';
import type { IdentityKeeper, IdentityStatus } from './identity-keeper.ts';
import { pushCredentials } from './push-credentials.ts';

/** Messages that wait for a certificate: Hello and some heartbeats. Beyond, the stream ends and is opened anew. */
const waitingMax = 64;

/** Connections to the control plane by mutual TLS. They wait for the first certificate, and are opened anew with each next one. */
export function identityConnectors(keeper: IdentityKeeper, clock: Pick<Clock, 'wallMs'>): Connectors {
  const current = (): ReturnType<typeof pushCredentials> => {
    const held = keeper.current;
    // Nobody connects without a certificate; where one ended this moment, the server refuses.
    return held ? pushCredentials(held, clock) : credentials.createSsl();
  };
  return {
    control: new IdentityConnector(keeper, new GrpcConnector(current)),
    telemetry: renewing(keeper, new GrpcTelemetryConnector(current)),
    certificate: () => certificateStatus(keeper.status),
    close: () => keeper.close(),
  };
}

/** As certificates of documents are told of: by metrics and the admin interface. */
function certificateStatus({ spiffeId, endsMs, fingerprint, sinceMs, problem, persisted }: IdentityStatus): CertificateStatus {
  const facts = endsMs === 0 ? null : { notAfterMs: endsMs, names: [spiffeId], keyType: 'ec', fingerprint };
  const trouble = problem === '' && !persisted ? 'it cannot be kept on the disk' : problem;
  return { resource: 'identity', pointer: '', file: 'identity.json', facts, problem: trouble === '' ? null : trouble, loadedAtMs: sinceMs };
}

/** Telemetry begins after the control stream, so there is a certificate; with each next one it is opened anew. */
function renewing(keeper: IdentityKeeper, inner: TelemetryConnector): TelemetryConnector {
  return {
    connect(address, handlers) {
      const stream = inner.connect(address, {
        onAck: (sequence) => handlers.onAck(sequence),
        onQuery: (query) => handlers.onQuery(query),
        onEnd: (cause) => {
          stop();
          handlers.onEnd(cause);
        },
      });
      const stop = keeper.onChange(() => {
        stop();
        stream.close();
        handlers.onEnd('the certificate was renewed');
      });
      return {
        sendBatch: (batch) => stream.sendBatch(batch),
        sendReply: (reply) => stream.sendReply(reply),
        close() {
          stop();
          stream.close();
        },
      };
    },
  };
}

class IdentityConnector implements ControlConnector {
  readonly #keeper: IdentityKeeper;
  readonly #inner: ControlConnector;

  constructor(keeper: IdentityKeeper, inner: ControlConnector) {
    this.#keeper = keeper;
    this.#inner = inner;
  }

  connect(address: string, handlers: ControlStreamHandlers): ControlStream {
    return new IdentityStream(this.#keeper, (own) => this.#inner.connect(address, own), handlers);
  }

  close(): void {
    this.#inner.close();
  }
}

class IdentityStream implements ControlStream {
  readonly #handlers: ControlStreamHandlers;
  readonly #stopListening: () => void;
  #waiting: SidecarMessage[] = [];
  #inner: ControlStream | null = null;
  #over = false;

  constructor(keeper: IdentityKeeper, open: (handlers: ControlStreamHandlers) => ControlStream, handlers: ControlStreamHandlers) {
    this.#handlers = handlers;
    this.#stopListening = keeper.onChange(() => {
      // The stream lives on what it was opened with; the next one shows the new certificate.
      if (this.#inner) this.#end('the certificate was renewed');
      else this.#open(open);
    });
    if (keeper.current) this.#open(open);
  }

  send(message: SidecarMessage): void {
    if (this.#over) return;
    if (this.#inner) this.#inner.send(message);
    else if (this.#waiting.push(message) > waitingMax) this.#end('there is no certificate yet');
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopListening();
    this.#inner?.close();
    this.#waiting = [];
  }

  #open(open: (handlers: ControlStreamHandlers) => ControlStream): void {
    this.#inner = open({ onMessage: (message) => this.#handlers.onMessage(message), onEnd: (cause) => this.#end(cause) });
    for (const message of this.#waiting.splice(0)) this.#inner.send(message);
  }

  #end(cause: string): void {
    if (this.#over) return;
    this.close();
    this.#handlers.onEnd(cause);
  }
}
