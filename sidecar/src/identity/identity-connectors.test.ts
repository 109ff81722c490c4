import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { X509Certificate } from 'node:crypto';
import { seededRandom } from '@remora/core/random';
import { controlPlaneProfile, svidProfile, type CertificateProfile } from '@remora/identity/certificate-profile';
import { PushService, type ControlMessage, type SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import { ManualClock } from '@remora/testing/manual-clock';
import { ManualTimers } from '@remora/testing/manual-timers';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ControlStream } from '../config/control-stream.ts';
import { createLog } from '../telemetry/log.ts';
import { identityConnectors } from './identity-connectors.ts';
import { IdentityKeeper } from './identity-keeper.ts';
import { MemoryEnrolment, MemoryIdentityDisk } from './testdata/memory-enrolment.ts';

const orders = { kind: 'service', name: 'orders' } as const;
const hourMs = 3_600_000;
const hello = (nodeId: string): SidecarMessage => ({ body: { $case: 'hello', value: { ...emptyHello, nodeId } } });
const emptyHello = {
  nodeId: '', incarnation: 1n, subjectKind: 'service', subjectName: 'orders', advertised: [], labels: [], locality: '', build: undefined, config: undefined, state: undefined, refusedHashes: [],
  protocols: [], appReady: true, mtls: false, staleSinceMs: 0n, leaving: false,
};

/** What a push port sees: of each stream the certificate and the node of its Hello. */
interface Seen {
  readonly serial: string;
  readonly nodeId: string;
}

/**
 * TLS has the clock of this machine and no other: the test's begins 36 h ago, so that what is issued then, and what is issued at its
 * renewal, are both good now.
 */
describe('connections by certificate', () => {
  let time: ManualTimers;
  let enrolment: MemoryEnrolment;
  let keeper: IdentityKeeper;
  let seen: Seen[];
  const closing: (() => void)[] = [];
  beforeEach(() => {
    time = new ManualTimers(new ManualClock(Date.now() - 36 * hourMs));
    enrolment = new MemoryEnrolment(time.clock);
    seen = [];
    keeper = new IdentityKeeper({
      subject: orders, nodeId: 'orders-1', token: enrolment.token, disk: new MemoryIdentityDisk(), enrolment, clock: time.clock, timers: time, random: seededRandom(1),
      log: createLog({ level: 'silent', clock: time.clock, write: () => {} }),
    });
    closing.push(() => keeper.close());
  });
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  async function pushPort(profile: CertificateProfile): Promise<string> {
    const { key, chain, root } = enrolment.server(profile);
    const server = new Server();
    server.addService(PushService, {
      sync: (call: ServerDuplexStream<SidecarMessage, ControlMessage>) => {
        const serial = new X509Certificate(call.getAuthContext().sslPeerCertificate?.raw ?? Buffer.alloc(0)).serialNumber;
        call.on('error', () => {});
        call.on('data', ({ body }: SidecarMessage) => {
          if (body?.$case === 'hello') seen.push({ serial, nodeId: body.value.nodeId });
        });
      },
      report: () => {}, queries: () => {},
    });
    const port = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', ServerCredentials.createSsl(root, [{ private_key: key, cert_chain: chain }], true), (error, bound) => (error ? reject(error) : resolve(bound))));
    closing.push(() => server.forceShutdown());
    return `127.0.0.1:${port}`;
  }

  const times = (): { trustDomain: string; nowMs: number; authorityEndsMs: number } => ({ trustDomain: 'shop.example', nowMs: time.clock.wallMs(), authorityEndsMs: Date.now() + 1e10 });

  function connect(address: string): { stream: ControlStream; ends: string[] } {
    const ends: string[] = [];
    const stream = identityConnectors(keeper, time.clock).control.connect(address, { onMessage: () => {}, onEnd: (cause) => ends.push(cause) });
    closing.push(() => stream.close());
    return { stream, ends };
  }

  test('wait for the first one with what is to be said, and are opened anew with the next one', async () => {
    const address = await pushPort(controlPlaneProfile(times()));
    const first = connect(address);
    first.stream.send(hello('orders-1'));
    await keeper.start();
    await vi.waitFor(() => expect(seen).toHaveLength(1), { timeout: 30_000 });
    const [serial] = [keeper.current?.chain[0]?.serialNumber];
    expect(seen).toEqual([{ serial, nodeId: 'orders-1' }]);
    expect(first.ends).toEqual([]);

    await time.advance(36 * hourMs);
    expect(enrolment.asked).toEqual(['join', 'renew']);
    expect(first.ends).toEqual(['the certificate was renewed']);
    const second = connect(address);
    second.stream.send(hello('orders-1'));
    await vi.waitFor(() => expect(seen).toHaveLength(2), { timeout: 30_000 });
    expect(seen[1]?.serial).toBe(keeper.current?.chain[0]?.serialNumber);
    expect(seen[1]?.serial).not.toBe(serial);
  });

  test('tell nothing to who is not the control plane, though of the same authority', async () => {
    const address = await pushPort(svidProfile({ ...times(), subject: { kind: 'service', name: 'payments' }, nodeId: 'p' }));
    await keeper.start();
    const { stream, ends } = connect(address);
    stream.send(hello('orders-1'));
    await vi.waitFor(() => expect(ends).toHaveLength(1), { timeout: 30_000 });
    expect(ends[0]).toContain('who answers is spiffe://shop.example/service/payments');
    expect(seen).toEqual([]);
  });

  test('that are closed while they wait leave nothing', async () => {
    const address = await pushPort(controlPlaneProfile(times()));
    const { stream, ends } = connect(address);
    stream.send(hello('orders-1'));
    stream.close();
    await keeper.start();
    const other = connect(address);
    other.stream.send(hello('orders-2'));
    await vi.waitFor(() => expect(seen).toHaveLength(1), { timeout: 30_000 });
    expect(seen[0]?.nodeId).toBe('orders-2');
    expect(ends).toEqual([]);
  });

  test('that wait too long with too much are ended', () => {
    const { stream, ends } = connect('127.0.0.1:1');
    for (let n = 0; n < 100; n++) stream.send(hello('x'));
    expect(ends).toEqual(['there is no certificate yet']);
  });
});
