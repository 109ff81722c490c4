/**
 * A fleet of sidecars that have certificates, in a process of its own: it joins by tokens, connects by mutual TLS, and renews when the bundle says that another root
 * signs. Driven by lines of JSON on stdin; answers on stdout.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createInterface } from 'node:readline';
import { ChannelCredentials } from '@grpc/grpc-js';
import { MessageEncoder } from '@remora/control-plane/compile/message-encoder';
import { TestSidecar } from '@remora/control-plane/push/testdata/test-sidecar';
import { createCertificateRequest } from '@remora/identity/certificate-request';
import { parseJoinToken } from '@remora/identity/join-token';
import { certificatePem, readCertificate } from '@remora/identity/pem';
import { signRenewal } from '@remora/identity/renewal-proof';
import { formatSpiffeId, subjectSpiffeId } from '@remora/identity/spiffe-id';
import { decodeTrustBundle, rootDigest } from '@remora/identity/trust-bundle-facts';
import { EnrolmentClient, type EnrolmentAnswer } from '@remora/proto/gen/remora/identity/v1/identity';
import { ControlMessage, PushService, SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import { openGrpcStream, type GrpcStream } from '../grpc-stream.ts';

interface Command {
  readonly id: number;
  readonly command: 'join' | 'connect' | 'counts';
  readonly push?: string;
  readonly enrolment?: string;
  /** PEM of the roots. */
  readonly roots?: string;
  readonly trustDomain?: string;
  /** By service; each for as many as it has uses. */
  readonly tokens?: Readonly<Record<string, string>>;
  readonly each?: number;
}

const encoder = new MessageEncoder();
const serverName = 'control-plane';
const counted = { renewed: 0, renewalsFailed: 0, reconnects: 0, rejected: 0 };
let enrolment: EnrolmentClient | null = null;
let push = '';
let trustDomain = '';

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

class FleetSidecar {
  readonly core: TestSidecar;
  readonly #service: string;
  #key = newKey();
  #chain: readonly Buffer[] = [];
  #roots: readonly Buffer[] = [];
  #stream: GrpcStream | null = null;
  #movedTo = '';
  #onSync: () => void = () => {};
  readonly #acked = { config: false, state: false };

  constructor(service: string, nodeId: string) {
    this.#service = service;
    this.core = new TestSidecar({ nodeId, subject: { kind: 'service', name: service } });
  }

  async join(token: string): Promise<void> {
    const parsed = parseJoinToken(token);
    if (typeof parsed === 'string') throw new Error(parsed);
    const certificateRequest = this.#request(this.#key);
    const question = { tokenId: parsed.id, tokenSecret: parsed.secret, nodeId: this.core.nodeId, subjectKind: 'service', subjectName: this.#service, certificateRequest };
    this.#take(await ask((client, done) => client.join(question, done)), this.#key);
  }

  async #renew(): Promise<void> {
    const key = newKey();
    const certificateRequest = this.#request(key);
    try {
      const answer = await ask((client, done) => client.renew({ chain: [...this.#chain], certificateRequest, proof: signRenewal(certificateRequest, this.#key) }, done));
      this.#take(answer, key);
      counted.renewed++;
      // The next stream shows the new certificate.
      const before = this.#stream;
      this.open(this.#onSync);
      before?.close();
    } catch {
      counted.renewalsFailed++;
    }
  }

  open(onSync: () => void): void {
    this.#onSync = onSync;
    this.core.incarnation++;
    const tls = { key: this.#key.export({ type: 'pkcs8', format: 'pem' }), cert: pem(this.#chain), ca: pem(this.#roots), servername: serverName, checkServerIdentity: () => undefined };
    const stream = openGrpcStream({
      address: push, path: PushService.sync.path, tls,
      message: (bytes) => this.#receive(bytes),
      ended: () => {
        if (this.#stream !== stream) return;
        counted.reconnects++;
        this.#stream = null;
        setTimeout(() => this.open(this.#onSync), 200);
      },
    });
    this.#stream = stream;
    this.core.open((message) => {
      stream.send(encoder.encode(SidecarMessage, message));
      if (message.body?.$case !== 'ack') return;
      this.#acked[message.body.value.lane === 2 ? 'state' : 'config'] = true;
      if (this.#acked.config && this.#acked.state) this.#onSync();
    });
  }

  beat(): void {
    if (this.#stream) this.core.heartbeat();
  }

  #receive(bytes: Buffer): void {
    const message = ControlMessage.decode(bytes);
    if (message.body?.$case === 'rejected') counted.rejected++;
    if (message.body?.$case === 'state') this.#follow(message.body.value.items.find(({ kind }) => kind === 'trustBundle')?.body);
    this.core.receive(message);
    const { begins, states, log } = this.core;
    begins.length = 0;
    states.length = 0;
    log.length = 0;
  }

  /** As IdentityKeeper.useBundle: roots at once, the renewal at a random moment of the window. */
  #follow(body: Uint8Array | undefined): void {
    const bundle = body && decodeTrustBundle(body);
    if (!bundle) return;
    this.#roots = bundle.roots.map((root) => Buffer.from(root));
    const leaf = this.#chain[0] && readCertificate(this.#chain[0]);
    const signer = bundle.roots.map((root) => readCertificate(root)).find((root) => root && rootDigest(root.raw) === bundle.signs);
    if (!leaf || !signer || leaf.verify(signer.publicKey) || this.#movedTo === bundle.signs) return;
    this.#movedTo = bundle.signs;
    setTimeout(() => void this.#renew(), bundle.renewWithinMs * Math.random());
  }

  #request(key: KeyObject): Buffer {
    return createCertificateRequest({ key, spiffeId: formatSpiffeId(subjectSpiffeId(trustDomain, { kind: 'service', name: this.#service })), nodeId: this.core.nodeId });
  }

  #take({ outcome }: EnrolmentAnswer, key: KeyObject): void {
    if (outcome?.$case !== 'credential') throw new Error(outcome?.$case === 'refusal' ? outcome.value.message : 'no answer');
    this.#key = createPrivateKey(key.export({ type: 'pkcs8', format: 'pem' }));
    this.#chain = outcome.value.chain;
    this.#roots = outcome.value.roots;
  }
}

function ask(call: (client: EnrolmentClient, done: (error: Error | null, answer: EnrolmentAnswer) => void) => void): Promise<EnrolmentAnswer> {
  const client = enrolment;
  if (!client) throw new Error('nobody to ask');
  return new Promise((resolve, reject) => call(client, (error, answer) => (error ? reject(error) : resolve(answer))));
}

function pem(certificates: readonly Uint8Array[]): string {
  return certificates.map((raw) => certificatePem(raw)).join('');
}

const fleet: FleetSidecar[] = [];

async function join({ tokens = {}, each = 1, roots = '', ...addresses }: Command): Promise<void> {
  push = addresses.push ?? '';
  trustDomain = addresses.trustDomain ?? '';
  enrolment = new EnrolmentClient(addresses.enrolment ?? '', ChannelCredentials.createSsl(Buffer.from(roots), null, null, { checkServerIdentity: () => undefined }), { 'grpc.ssl_target_name_override': serverName });
  for (const [service, token] of Object.entries(tokens)) {
    const some = Array.from({ length: each }, (_, i) => new FleetSidecar(service, `${service}-${i}`));
    // As many at once as the enrolment port takes on one connection.
    for (let at = 0; at < some.length; at += 16) await Promise.all(some.slice(at, at + 16).map((sidecar) => sidecar.join(token)));
    fleet.push(...some);
  }
}

async function connectAll(): Promise<void> {
  const done = new Set<FleetSidecar>();
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const [i, sidecar] of fleet.entries()) {
    sidecar.open(() => {
      done.add(sidecar);
      if (done.size === fleet.length) resolve();
    });
    if (i % 20 === 19) await new Promise<void>((next) => { setImmediate(next); });
  }
  await promise;
}

async function run(command: Command): Promise<void> {
  const started = performance.now();
  if (command.command === 'join') await join(command);
  if (command.command === 'connect') await connectAll();
  const violations = fleet.flatMap(({ core }) => core.violations).slice(0, 5);
  process.stdout.write(`${JSON.stringify({ id: command.id, ms: performance.now() - started, ...counted, violations })}\n`);
}

let next = 0;
setInterval(() => {
  const share = Math.ceil(fleet.length / 50);
  for (let i = 0; i < share && fleet.length > 0; i++) fleet[next++ % fleet.length]?.beat();
}, 100);

createInterface({ input: process.stdin }).on('line', (line) => {
  run(JSON.parse(line) as Command).catch((error: unknown) => {
    process.stderr.write(`${(error as Error).stack}\n`);
    process.exit(1);
  });
}).on('close', () => process.exit(0));
