import { Server, status, type ChannelOptions, type sendUnaryData, type ServerUnaryCall, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { EnrolmentService, type EnrolmentAnswer, type JoinRequest, type RenewRequest } from '@remora/proto/gen/remora/identity/v1/identity';
import type { Enrolment, EnrolmentRefusal, IssuedCredential } from './enrolment.ts';
import type { ServerCertificate } from './server-certificate.ts';
import { serverCredentials } from './server-credentials.ts';

export interface RunningEnrolmentServer {
  readonly port: number;
  /** Stops listening; cuts what is left after `graceMs` (default 1 s). */
  close(graceMs?: number): Promise<void>;
}

const options: ChannelOptions = {
  // A chain of eight certificates and a request are far below.
  'grpc.max_receive_message_length': 64 * 1024,
  'grpc.max_concurrent_streams': 16,
  // Nobody stays: a certificate is asked for, and that is all.
  'grpc.max_connection_idle_ms': 10_000,
  'grpc.max_connection_age_ms': 60_000,
  'grpc.max_connection_age_grace_ms': 5_000,
  'grpc.enable_channelz': 0,
};

/** The enrolment port: TLS without client certificates, for those who have none yet. Rejects where the address is taken. */
export async function startEnrolmentServer(spec: { readonly enrolment: Enrolment; readonly certificate: ServerCertificate; readonly host: string; readonly port: number; readonly alarm: (error: unknown) => void }): Promise<RunningEnrolmentServer> {
  const server = new Server(options);
  server.addService(EnrolmentService, implement(spec.enrolment, spec.alarm));
  const address = (port: number): string => (spec.host.includes(':') ? `[${spec.host}]:${port}` : `${spec.host}:${port}`);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address(spec.port), serverCredentials(spec.certificate, 'anonymous'), (error, bound) => {
      if (error) reject(new Error(`The enrolment port cannot listen on ${address(spec.port)}: ${error.message}`, { cause: error }));
      else resolve(bound);
    });
  });
  return {
    port,
    close(graceMs = 1_000) {
      server.drain(address(port), graceMs);
      return new Promise((resolve) => {
        server.tryShutdown(() => resolve());
      });
    },
  };
}

function implement(enrolment: Enrolment, alarm: (error: unknown) => void): UntypedServiceImplementation {
  const answer = (asked: Promise<IssuedCredential | EnrolmentRefusal>, callback: sendUnaryData<EnrolmentAnswer>): void => {
    asked.then((outcome) => callback(null, wireAnswer(outcome)), (error: unknown) => {
      alarm(error);
      callback({ code: status.INTERNAL, details: 'the control plane failed' });
    });
  };
  return {
    join: ({ request }: ServerUnaryCall<JoinRequest, EnrolmentAnswer>, callback: sendUnaryData<EnrolmentAnswer>) => {
      const { tokenId, tokenSecret, nodeId, subjectKind, subjectName, certificateRequest } = request;
      const subject = { kind: subjectKind === 'gateway' ? 'gateway' as const : 'service' as const, name: subjectName };
      answer(enrolment.join({ tokenId, tokenSecret, nodeId, subject, request: certificateRequest }), callback);
    },
    renew: ({ request }: ServerUnaryCall<RenewRequest, EnrolmentAnswer>, callback: sendUnaryData<EnrolmentAnswer>) => {
      answer(enrolment.renew({ chain: request.chain, request: request.certificateRequest, proof: request.proof }), callback);
    },
  };
}

function wireAnswer(outcome: IssuedCredential | EnrolmentRefusal): EnrolmentAnswer {
  if (outcome.kind === 'refused') {
    const { code, message, retry } = outcome;
    return { outcome: { $case: 'refusal', value: { code, message, retry } } };
  }
  const { chain, roots, trustDomain, recoverUntilMs } = outcome;
  return { outcome: { $case: 'credential', value: { chain: chain.map((raw) => Buffer.from(raw)), roots: roots.map((raw) => Buffer.from(raw)), trustDomain, recoverUntilMs: BigInt(recoverUntilMs) } } };
}
