import { ChannelCredentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import type { X509Certificate } from 'node:crypto';
import type { Clock } from '@remora/core/clock';
import { certificatePem } from '@remora/identity/pem';
import { EnrolmentClient, type EnrolmentAnswer } from '@remora/proto/gen/remora/identity/v1/identity';
import { channelOptions } from '../config/grpc-control-stream.ts';
import { joinHostPort } from '../settings/build-settings.ts';
import type { HostPort } from '../settings/sidecar-settings.ts';
import { controlPlaneCheck, controlPlaneServerName } from './control-plane-check.ts';
import type { EnrolmentOutcome, EnrolmentPort } from './enrolment-port.ts';
import { fetchPinnedRoot } from './fetch-pinned-root.ts';

const deadlineMs = 10_000;

type Call = (client: EnrolmentClient, deadline: Date, done: (error: ServiceError | null, answer: EnrolmentAnswer) => void) => void;

/** Enrolment over gRPC: the addresses in turn, until one answers. */
export function grpcEnrolment(deps: { readonly addresses: readonly HostPort[]; readonly clock: Clock }): EnrolmentPort {
  const { addresses, clock } = deps;

  const ask = async (address: HostPort, trust: { readonly trustDomain: string; readonly roots: readonly X509Certificate[] }, call: Call): Promise<EnrolmentOutcome> => {
    const roots = Buffer.from(trust.roots.map(({ raw }) => certificatePem(raw)).join(''));
    const checkServerIdentity = controlPlaneCheck({ ...trust, nowMs: () => clock.wallMs() });
    const credentials = ChannelCredentials.createSsl(roots, null, null, { checkServerIdentity });
    const client = new EnrolmentClient(joinHostPort(address), credentials, { ...channelOptions, 'grpc.ssl_target_name_override': controlPlaneServerName });
    try {
      const answer = await new Promise<EnrolmentAnswer>((resolve, reject) => {
        call(client, new Date(Date.now() + deadlineMs), (error, got) => (error ? reject(error) : resolve(got)));
      });
      return outcomeOf(answer);
    } finally {
      client.close();
    }
  };

  /** What a control plane says counts; what nobody says is gathered. */
  const inTurn = async (one: (address: HostPort) => Promise<EnrolmentOutcome>): Promise<EnrolmentOutcome> => {
    const causes: string[] = [];
    for (const address of addresses) {
      try {
        return await one(address);
      } catch (error) {
        causes.push(`${joinHostPort(address)}: ${causeOf(error)}`);
      }
    }
    return { kind: 'unreachable', cause: causes.join('; ') };
  };

  return {
    join({ token, nodeId, subject, request }) {
      return inTurn(async (address) => {
        const root = await fetchPinnedRoot(address, token.pin);
        const question = { tokenId: token.id, tokenSecret: token.secret, nodeId, subjectKind: subject.kind, subjectName: subject.name, certificateRequest: Buffer.from(request) };
        return ask(address, { trustDomain: token.trustDomain, roots: [root] }, (client, deadline, done) => client.join(question, new Metadata(), { deadline }, done));
      });
    },
    renew({ trustDomain, roots, chain, request, proof }) {
      const question = { chain: chain.map(({ raw }) => raw), certificateRequest: Buffer.from(request), proof: Buffer.from(proof) };
      return inTurn((address) => ask(address, { trustDomain, roots }, (client, deadline, done) => client.renew(question, new Metadata(), { deadline }, done)));
    },
  };
}

function outcomeOf({ outcome }: EnrolmentAnswer): EnrolmentOutcome {
  if (outcome?.$case === 'refusal') return { kind: 'refused', ...outcome.value };
  if (outcome?.$case !== 'credential') return { kind: 'refused', code: 'bad-answer', message: 'the control plane answered something that this version does not know', retry: true };
  const { chain, roots, trustDomain, recoverUntilMs } = outcome.value;
  return { kind: 'issued', chain, roots, trustDomain, recoverUntilMs: Number(recoverUntilMs) };
}

function causeOf(error: unknown): string {
  const { code, details, message } = error as Partial<ServiceError> & Error;
  return code === undefined ? message : `${status[code] ?? code}: ${details ?? message}`;
}
