import { ChannelCredentials, status, type ServiceError } from '@grpc/grpc-js';
import { connect as plainConnect, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { certificatePin, parseJoinToken } from '@remora/identity/join-token';
import { certificatePem } from '@remora/identity/pem';
import { signRenewal } from '@remora/identity/renewal-proof';
import { EnrolmentClient, type EnrolmentAnswer, type JoinRequest, type RenewRequest } from '@remora/proto/gen/remora/identity/v1/identity';
import { PushClient, type ControlMessage } from '@remora/proto/gen/remora/push/v1/push';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startControlPlane, type RunningControlPlane } from '../running-control-plane.ts';
import { readSettings } from '../settings/read-settings.ts';
import type { ControlPlaneSettings } from '../settings/control-plane-settings.ts';
import { TestSidecar } from '../push/testdata/test-sidecar.ts';
import { newKey, orders, payments, Workload } from './testdata/identity-fixture.ts';
import type { Subject } from '@remora/core/subject';

const documents = ['orders', 'payments'].map((name) => `kind: Service\nname: ${name}\nports: {http: {port: 8080, protocol: http}}\n`).join('---\n');
const name = 'control-plane';

/** TLS as a sidecar does it, as far as these tests go: the id of the server is another test's. */
function channel(roots: readonly Uint8Array[], own?: Workload): ChannelCredentials {
  const pem = (list: readonly Uint8Array[]): Buffer => Buffer.from(list.map((raw) => certificatePem(raw)).join(''));
  const check = { checkServerIdentity: () => undefined };
  if (!own?.held) return ChannelCredentials.createSsl(pem(roots), null, null, check);
  return ChannelCredentials.createSsl(pem(roots), Buffer.from(own.key.export({ type: 'pkcs8', format: 'pem' })), pem(own.held.chain), check);
}

/** Writes, ends, and waits until it is over, however. */
function closed(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    socket.on('error', () => {}).on('close', () => resolve()).resume().end(bytes);
  });
}

const channelOptions = { 'grpc.ssl_target_name_override': name, 'grpc.use_local_subchannel_pool': 1, 'grpc.initial_reconnect_backoff_ms': 60_000 };

describe('identity over gRPC', () => {
  let running: RunningControlPlane;
  const lines: string[] = [];
  beforeAll(async () => {
    const read = readSettings(['--store', 'memory', '--api-auth', 'off', '--api-port', '0', '--push-port', '0', '--identity', 'mtls', '--enrolment-port', '0'], { HOME: '/tmp' }, () => '');
    if (!read.ok) throw new Error(JSON.stringify(read.problems));
    running = await startControlPlane(read.settings satisfies ControlPlaneSettings, { log: (line) => lines.push(line) });
    await fetch(`http://${running.api}/v1/apply`, { method: 'POST', body: documents, headers: { 'content-type': 'application/yaml' } });
  });
  afterAll(() => running.stop());

  const tokenFor = (subject: Subject): string => {
    const made = running.identity?.createToken({ subject, ttlMs: 3_600_000, uses: 5, author: 'ana' });
    return made?.token ?? '';
  };
  const ask = (request: (client: EnrolmentClient, done: (error: ServiceError | null, answer: EnrolmentAnswer) => void) => void): Promise<EnrolmentAnswer> => {
    const client = new EnrolmentClient(running.enrolment, channel(running.identity?.keeper.authority.roots.map(({ raw }) => raw) ?? []), channelOptions);
    return new Promise<EnrolmentAnswer>((resolve, reject) => request(client, (error, answer) => (error ? reject(error) : resolve(answer)))).finally(() => client.close());
  };
  const keep = (workload: Workload, { outcome }: EnrolmentAnswer): string => {
    if (outcome?.$case !== 'credential') return outcome?.$case === 'refusal' ? outcome.value.code : 'nothing';
    const { chain, roots, trustDomain, recoverUntilMs } = outcome.value;
    workload.held = { kind: 'issued', leaf: undefined as never, chain, roots, trustDomain, recoverUntilMs: Number(recoverUntilMs) };
    return 'issued';
  };
  const join = async (workload: Workload, token: string): Promise<string> => {
    const parsed = parseJoinToken(token);
    if (typeof parsed === 'string') throw new Error(parsed);
    const request: JoinRequest = { tokenId: parsed.id, tokenSecret: parsed.secret, nodeId: workload.nodeId, subjectKind: workload.subject.kind, subjectName: workload.subject.name, certificateRequest: workload.request() };
    return keep(workload, await ask((client, done) => client.join(request, done)));
  };
  /** What the push port says to a Hello: `pushed` where the snapshot of the subject came. */
  const hello = async (credentials: ChannelCredentials, claim: { readonly nodeId: string; readonly subject: Subject }): Promise<string> => {
    const client = new PushClient(running.push, credentials, channelOptions);
    try {
      return await new Promise((resolve) => {
        const call = client.sync();
        const sidecar = new TestSidecar(claim);
        call.on('data', ({ body }: ControlMessage) => {
          if (body?.$case === 'rejected') resolve(body.value.code);
          else if (body?.$case === 'begin' || body?.$case === 'update') resolve('pushed');
        });
        call.on('error', (error: ServiceError) => resolve(status[error.code] ?? 'error'));
        sidecar.open((message) => call.write(message));
      });
    } finally {
      client.close();
    }
  };

  test('the first contact shows the root that the token names', async () => {
    const token = parseJoinToken(tokenFor(orders));
    const [host = '', port = ''] = running.enrolment.split(':');
    const pins = await new Promise<string[]>((resolve, reject) => {
      const socket = tlsConnect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2'] }, () => {
        const found: string[] = [];
        let at = socket.getPeerCertificate(true);
        for (let n = 0; n < 4; n++, at = at.issuerCertificate) found.push(certificatePin(at.raw));
        socket.destroy();
        resolve(found);
      });
      socket.on('error', reject);
    });
    expect(pins).toContain(typeof token === 'string' ? '' : token.pin);
  });

  test('a sidecar joins, is pushed to, and shown as authenticated; renews, and is pushed to again', async () => {
    const workload = new Workload(orders, 'orders-1');
    expect(await join(workload, tokenFor(orders))).toBe('issued');
    const roots = workload.held?.roots ?? [];
    expect(await hello(channel(roots, workload), workload)).toBe('pushed');
    expect(running.controlPlane.hub.sidecar('orders-1')).toMatchObject({ authenticated: true, subject: 'service/orders' });
    const key = newKey();
    const certificateRequest = workload.request({ key });
    const renewal: RenewRequest = { chain: [...(workload.held?.chain ?? [])].map((raw) => Buffer.from(raw)), certificateRequest, proof: signRenewal(certificateRequest, workload.key) };
    expect(keep(workload, await ask((client, done) => client.renew(renewal, done)))).toBe('issued');
    workload.key = key;
    expect(await hello(channel(roots, workload), workload)).toBe('pushed');
  });

  test('nobody gets the snapshot of another service, whatever is claimed with whatever certificate', async () => {
    const all = [new Workload(orders, 'o'), new Workload(payments, 'p'), new Workload({ kind: 'gateway', name: 'orders' }, 'g')];
    for (const one of all) expect(await join(one, tokenFor(one.subject))).toBe('issued');
    const roots = all[0]?.held?.roots ?? [];
    for (const own of all) {
      for (const claim of all) {
        for (const nodeId of all.map((one) => one.nodeId)) {
          const said = await hello(channel(roots, own), { nodeId, subject: claim.subject });
          const same = own === claim && own.nodeId === nodeId;
          // There is no Gateway of that name: it is who it says, and gets nothing.
          expect(said, `${own.nodeId} as ${nodeId} of ${claim.subject.kind}/${claim.subject.name}`).toBe(same ? (own.subject.kind === 'gateway' ? 'unknown-gateway' : 'pushed') : 'identity');
        }
      }
    }
    expect(running.identity?.peersRefused.get('other-subject')).toBeGreaterThan(5);
  });

  test('without a certificate, or with a stranger\'s, the handshake is the end', async () => {
    const roots = running.identity?.keeper.authority.roots.map(({ raw }) => raw) ?? [];
    expect(await hello(channel(roots), { nodeId: 'x', subject: orders })).toBe('UNAVAILABLE');
    expect(await hello(ChannelCredentials.createInsecure(), { nodeId: 'x', subject: orders })).toBe('UNAVAILABLE');
  });

  test('rubbish on both ports, with TLS and without, harms nobody', async () => {
    const rubbish = [Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(70_000, 0x16), Buffer.from('1603010200010001fc0303', 'hex'), Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')];
    for (const address of [running.push, running.enrolment]) {
      const [host = '', port = ''] = address.split(':');
      for (const bytes of rubbish) {
        await closed(plainConnect({ host, port: Number(port) }), bytes);
        await closed(tlsConnect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2'] }), bytes);
      }
    }
    expect(await join(new Workload(orders, 'after-rubbish'), tokenFor(orders))).toBe('issued');
    expect(lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  });

  test('wrong questions are answered by a code; nothing of a token is ever logged', async () => {
    const token = tokenFor(orders);
    expect(await join(new Workload(payments, 'p2'), token)).toBe('other-subject');
    expect(keep(new Workload(orders, 'x'), await ask((client, done) => client.renew({ chain: [], certificateRequest: Buffer.alloc(0), proof: Buffer.alloc(0) }, done)))).toBe('bad-request');
    await expect(ask((client, done) => client.renew({ chain: [Buffer.alloc(70_000)], certificateRequest: Buffer.alloc(0), proof: Buffer.alloc(0) }, done))).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    const metrics = await (await fetch(`http://${running.api}/metrics`)).text();
    expect(metrics).toMatch(/^remora_identity_issued_total\{how="join"\} [1-9]/m);
    expect(metrics).toMatch(/^remora_identity_refused_total\{reason="other-subject"\} [1-9]/m);
    const emitted = [...lines, metrics].join('');
    expect(emitted).not.toContain(token.split('.')[2]);
    expect(emitted).not.toContain('PRIVATE KEY');
  });
});
