import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import { createPublicKey, generateKeyPairSync, type KeyObject, type X509Certificate } from 'node:crypto';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { systemClock } from '@remora/core/clock';
import { controlPlaneProfile, rootProfile, svidProfile, type CertificateProfile } from '@remora/identity/certificate-profile';
import { issueCertificate } from '@remora/identity/issue-certificate';
import { certificatePin, type JoinToken } from '@remora/identity/join-token';
import { certificatePem } from '@remora/identity/pem';
import { EnrolmentService, type EnrolmentAnswer, type JoinRequest } from '@remora/proto/gen/remora/identity/v1/identity';
import { afterEach, describe, expect, test } from 'vitest';
import { grpcEnrolment } from './grpc-enrolment.ts';
import type { EnrolmentOutcome } from './enrolment-port.ts';

const orders = { kind: 'service', name: 'orders' } as const;
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Authority {
  readonly root: X509Certificate;
  readonly key: KeyObject;
}

function makeAuthority(trustDomain = 'shop.example'): Authority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { root: issueCertificate(rootProfile({ trustDomain, nowMs: Date.now() }), publicKey.export({ type: 'spki', format: 'der' }), { certificate: null, key: privateKey }), key: privateKey };
}

/** An enrolment port with a certificate as said, which answers `answer` and remembers who asked. */
async function serve(by: Authority, profile: CertificateProfile, answer: EnrolmentAnswer = { outcome: { $case: 'refusal', value: { code: 'token-unknown', message: 'no', retry: false } } }): Promise<{ port: number; asked: JoinRequest[] }> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const leaf = issueCertificate(profile, createPublicKey(privateKey).export({ type: 'spki', format: 'der' }), { certificate: by.root, key: by.key });
  const asked: JoinRequest[] = [];
  const server = new Server();
  const handle = ({ request }: ServerUnaryCall<JoinRequest, EnrolmentAnswer>, done: sendUnaryData<EnrolmentAnswer>): void => {
    asked.push(request);
    done(null, answer);
  };
  server.addService(EnrolmentService, { join: handle, renew: handle });
  const chain = Buffer.from(certificatePem(leaf.raw) + certificatePem(by.root.raw));
  const credentials = ServerCredentials.createSsl(null, [{ private_key: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })), cert_chain: chain }], false);
  const port = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound))));
  closing.push(() => server.forceShutdown());
  return { port, asked };
}

const times = { trustDomain: 'shop.example', nowMs: Date.now(), authorityEndsMs: Date.now() + 1e10 };

function tokenOf({ root }: Authority): JoinToken {
  return { id: 'k3x9q2m7ab01', secret: 'PLANTED'.padEnd(43, 'x'), pin: certificatePin(root.raw), trustDomain: 'shop.example' };
}

function join(port: number, token: JoinToken, more: readonly number[] = []): Promise<EnrolmentOutcome> {
  const enrolment = grpcEnrolment({ addresses: [port, ...more].map((each) => ({ host: '127.0.0.1', port: each })), clock: systemClock });
  return enrolment.join({ token, nodeId: 'orders-1', subject: orders, request: Buffer.from('request') });
}

describe('the first contact', () => {
  const ours = makeAuthority();
  const token = tokenOf(ours);

  test('tells the secret to the control plane whose root the token names', async () => {
    const server = await serve(ours, controlPlaneProfile(times));
    expect(await join(server.port, token)).toMatchObject({ kind: 'refused', code: 'token-unknown' });
    expect(server.asked).toMatchObject([{ tokenId: token.id, tokenSecret: token.secret, nodeId: 'orders-1', subjectKind: 'service', subjectName: 'orders' }]);
  });

  /** Whoever it is, the secret is not told. */
  test.each<[string, () => Promise<{ port: number; asked: JoinRequest[] }>, string]>([
    ['an interceptor with an authority of its own', () => serve(makeAuthority(), controlPlaneProfile(times)), 'does not have the root certificate that the join token names'],
    ['a service of the same mesh', () => serve(ours, svidProfile({ ...times, subject: { kind: 'service', name: 'payments' }, nodeId: 'p' })), 'who answers is spiffe://shop.example/service/payments, and not spiffe://shop.example/control-plane'],
    ['the control plane of another trust domain', () => serve(ours, controlPlaneProfile({ ...times, trustDomain: 'other.example' })), 'of the trust domain other.example'],
    ['the control plane of last week', () => serve(ours, controlPlaneProfile({ ...times, nowMs: Date.now() - 7 * 86_400_000 })), 'expired'],
  ])('%s', async (_name, start, problem) => {
    const server = await start();
    const outcome = await join(server.port, token);
    expect(outcome).toMatchObject({ kind: 'unreachable', cause: expect.stringContaining(problem) });
    expect(server.asked).toEqual([]);
    expect(JSON.stringify(outcome)).not.toContain('PLANTED');
  });

  test('an interceptor that shows the root it read elsewhere, and signs with its own', async () => {
    const server = await serve({ root: ours.root, key: makeAuthority().key }, controlPlaneProfile(times));
    expect(await join(server.port, token)).toMatchObject({ kind: 'unreachable' });
    expect(server.asked).toEqual([]);
  });

  test('a port that speaks no TLS, none at all; and then the right one', async () => {
    const plain = createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => void plain.listen(0, '127.0.0.1', resolve));
    closing.push(() => plain.close());
    const { port } = plain.address() as AddressInfo;
    const outcome = await join(port, token, [1]);
    expect(outcome).toMatchObject({ kind: 'unreachable', cause: expect.stringMatching(/^127\.0\.0\.1:\d+: no TLS: .*; 127\.0\.0\.1:1: .*ECONNREFUSED/) });
    const server = await serve(ours, controlPlaneProfile(times));
    expect(await join(port, token, [1, server.port])).toMatchObject({ kind: 'refused' });
  });
});

describe('renewal', () => {
  test('asks only who has a root that is held', async () => {
    const ours = makeAuthority();
    const [good, other] = [await serve(ours, controlPlaneProfile(times)), await serve(makeAuthority(), controlPlaneProfile(times))];
    const renew = (port: number): Promise<EnrolmentOutcome> => grpcEnrolment({ addresses: [{ host: '127.0.0.1', port }], clock: systemClock })
      .renew({ trustDomain: 'shop.example', roots: [ours.root], chain: [ours.root], request: Buffer.from('r'), proof: Buffer.from('p') });
    expect(await renew(good.port)).toMatchObject({ kind: 'refused' });
    expect(await renew(other.port)).toMatchObject({ kind: 'unreachable' });
    expect([good.asked.length, other.asked.length]).toEqual([1, 0]);
  });
});
