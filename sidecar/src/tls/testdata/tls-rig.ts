import tls from 'node:tls';
import type { JsonObject } from '@remora/core/canonical-json';
import { EndpointSet, type DeepPartial, type Listener, type ListenerTls, type UpstreamTls } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { TestAuthority, type TestCertificate } from '@remora/testing/test-authority';
import { requestLimitsAuthoring } from '@remora/policy-request-limits/compile';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { makeField } from '@remora/http/header-ids';
import { effectiveSection } from '@remora/testing/effective-section';
import { runtimeKinds } from '../../kinds.ts';
import { LocalDataPlane } from '../../threads/local-data-plane.ts';

export interface TlsRigOptions {
  readonly upstreamPort?: number;
  readonly tls?: DeepPartial<ListenerTls>;
  readonly listener?: DeepPartial<Listener>;
  readonly trustedProxies?: readonly string[];
  /** By path; those of `certificates` are added as `/n.crt` and `/n.key`. */
  readonly files?: Readonly<Record<string, string>>;
  readonly certificates: readonly TestCertificate[];
  /** To `upstreamPort`. */
  readonly upstreamTls?: DeepPartial<UpstreamTls>;
  readonly upstreamHost?: string;
  /** `h2c` makes it a port of protocol http2. */
  readonly upstreamProtocols?: readonly string[];
  readonly limits?: JsonObject;
  /** Policies beside, as effective sections of documents. */
  readonly sections?: readonly { readonly kind: AuthoringKind; readonly section: JsonObject }[];
  /** A second listener, without TLS. */
  readonly plain?: DeepPartial<Listener>;
  /** Answers tell nothing of their connection. */
  readonly quiet?: boolean;
}

/** Tests only: a gateway with one listener of protocol https, answering with what it knows of the connection or forwarding to `upstreamPort`. */
export class TlsRig {
  readonly plane: LocalDataPlane;
  port = 0;
  /** Of `plain`. */
  plainPort = 0;
  #index = 0;
  files = new Map<string, string>();
  ticketSecret: Uint8Array = Buffer.alloc(32, 7);

  private constructor(kinds: ReadonlyMap<string, RuntimeKind<unknown>>) {
    this.plane = new LocalDataPlane({ nodeId: 'edge-1', kinds });
  }

  static async start(options: TlsRigOptions): Promise<TlsRig> {
    const rig = new TlsRig(options.quiet === true ? runtimeKinds : kindsThatTell);
    await rig.use(options);
    const [bound] = await rig.plane.listen([{ name: 'gateway/secure', side: 'gateway', host: '127.0.0.1', port: 0, portName: 'secure' }]);
    rig.port = bound?.port ?? 0;
    if (options.plain !== undefined) {
      const both = await rig.plane.listen([
        { name: 'gateway/secure', side: 'gateway', host: '127.0.0.1', port: rig.port, portName: 'secure' }, { name: 'gateway/plain', side: 'gateway', host: '127.0.0.1', port: 0, portName: 'plain' },
      ]);
      rig.plainPort = both.find(({ name }) => name === 'gateway/plain')?.port ?? 0;
    }
    return rig;
  }

  async use(options: TlsRigOptions): Promise<void> {
    for (const [path, text] of Object.entries(options.files ?? {})) this.files.set(path, text);
    options.certificates.forEach(({ cert, key }, i) => {
      this.files.set(`/${i}.crt`, cert);
      this.files.set(`/${i}.key`, key);
    });
    await this.hand();
    const { upstreamPort } = options;
    if (upstreamPort !== undefined) {
      const set = EndpointSet.fromPartial({ service: 'app', endpoints: [{ id: 'one', weight: 1, source: 'static', ports: [{ name: 'http', host: options.upstreamHost ?? '127.0.0.1', port: upstreamPort, protocols: [...(options.upstreamProtocols ?? [])] }] }] });
      await this.plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(set).finish()] });
    }
    const builder = new CandidateBuilder({ kind: 'gateway', name: 'edge' }).fleet({ trustedProxies: [...(options.trustedProxies ?? [])] });
    const { minFormat, body } = requestLimitsAuthoring.compile(effectiveSection(requestLimitsAuthoring, options.limits ?? {}));
    const more = (options.sections ?? []).map(({ kind, section }) => {
      const compiled = kind.compile(effectiveSection(kind, section), (options.sections ?? []).map((each) => each.kind.name).filter((name) => name !== kind.name));
      return { kind: kind.name, minFormat: compiled.minFormat, body: Buffer.from(compiled.body) };
    });
    const settings = builder.settings({ kind: 'requestLimits', minFormat, body: Buffer.from(body) }, ...more);
    const certified = options.certificates.map((_, i) => ({ certFile: `/${i}.crt`, keyFile: `/${i}.key` }));
    builder.listener({ name: 'secure', protocol: 'https', settings, tls: { certificates: certified, ...options.tls }, ...options.listener });
    if (options.plain !== undefined) builder.listener({ name: 'plain', settings, ...options.plain });
    builder.destination({ service: 'app', ports: [{ name: 'http', port: 8080, protocol: 'http', ...(options.upstreamTls && { tls: options.upstreamTls }) }] });
    builder.route({
      name: 'all', settings,
      match: { path: { kind: { $case: 'prefix', value: '/' } } },
      action: upstreamPort === undefined
        ? { $case: 'respond', value: { status: 200, body: Buffer.from('hello'), contentType: 'text/plain' } }
        : { $case: 'forward', value: { targets: [{ service: 'app', weight: 1 }] } },
    });
    const candidate = builder.build({ epoch: 1, index: ++this.#index });
    const prepared = await this.plane.prepare(candidate);
    if (!prepared.ok) throw new Error(JSON.stringify(prepared.errors));
    await this.plane.swap(candidate.hash, candidate.version);
  }

  /** Hands files and ticket secret to the data plane, as they are now. */
  hand(): Promise<void> {
    return this.plane.useTlsMaterial({ files: new Map(this.files), ticketSecret: this.ticketSecret });
  }

  /** What was counted, by name; without what is 0. */
  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.plane.readPolicyEvents()].filter(([name, value]) => value > 0 && !name.startsWith('_')));
  }

  close(): Promise<void> {
    return this.plane.close();
  }
}

const limits = runtimeKinds.get('requestLimits') as RuntimeKind<unknown>;
/** Every answer tells what is known of its connection. */
const kindsThatTell: ReadonlyMap<string, RuntimeKind<unknown>> = new Map([...runtimeKinds, ['requestLimits', {
  ...limits,
  edge: () => ({ kind: 'requestLimits', response: (x, head) => head.put(makeField('x-connection', JSON.stringify({ ...x.connection, clientAddress: x.clientAddress }))) }),
}]]);

/** What the answer tells of its connection. */
export function factsIn(text: string): Record<string, unknown> {
  return JSON.parse(/x-connection: (.*)\r\n/.exec(text)?.[1] ?? '{}') as Record<string, unknown>;
}

export interface Visit {
  readonly error: string;
  readonly text: string;
  readonly session: Buffer | null;
  readonly reused: boolean;
  readonly protocol: string;
  readonly alpn: string;
  readonly cipher: string;
  /** Common name and key type of what was shown. */
  readonly shown: string;
  readonly keyType: string;
}

/** One HTTPS request by Node's client, which answers with all there is to know of its connection. */
export function visit(port: number, options: tls.ConnectionOptions = {}, request = 'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n'): Promise<Visit> {
  return new Promise((resolve) => {
    const found = { error: '', text: '', session: null as Buffer | null, reused: false, protocol: '', alpn: '', cipher: '', shown: '', keyType: '' };
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    socket.on('session', (session) => {
      found.session = session;
    });
    socket.on('secureConnect', () => {
      found.reused = socket.isSessionReused();
      found.protocol = socket.getProtocol() ?? '';
      found.alpn = socket.alpnProtocol || '';
      found.cipher = socket.getCipher().name;
      const certificate = socket.getPeerX509Certificate();
      found.shown = certificate?.subject.replace('CN=', '') ?? '';
      found.keyType = certificate?.publicKey.asymmetricKeyType ?? '';
      socket.write(request);
    });
    socket.on('data', (chunk: Buffer) => {
      found.text += chunk.toString('latin1');
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      found.error = error.code ?? error.message;
    });
    socket.on('close', () => resolve(found));
  });
}

export { TestAuthority };
