import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Clock } from '@remora/core/clock';
import type { JsonObject } from '@remora/core/canonical-json';
import type { Subject } from '@remora/core/subject';
import { encodeRevocations, revocationsKind } from '@remora/identity/revocation-facts';
import { encodeTrustBundle, trustBundleKind } from '@remora/identity/trust-bundle-facts';
import { encodeWorkload, workloadFact } from '@remora/identity/workload-facts';
import { accessLogAuthoring } from '@remora/policy-access-log/compile';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { mtlsAuthoring } from '@remora/policy-mtls/compile';
import { retryAuthoring } from '@remora/policy-retry/compile';
import { EndpointSet, type DeepPartial, type Endpoint, type Fleet, type Section } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { effectiveSection } from '@remora/testing/effective-section';
import { TestAuthority, type TestCertificate, type TestCertificateOptions } from '@remora/testing/test-authority';
import { runtimeKinds } from '../../kinds.ts';
import type { RefusalRecord } from '../../threads/data-plane.ts';
import { LocalDataPlane } from '../../threads/local-data-plane.ts';

/** Tests only: certificates of a trust domain, with whatever a test wants wrong in them. */
export class MeshAuthority {
  readonly trustDomain: string;
  readonly root: TestAuthority;

  constructor(trustDomain = 'shop.example') {
    this.trustDomain = trustDomain;
    this.root = new TestAuthority(`Root of ${trustDomain}`);
  }

  /** `service/orders`. */
  issue(path: string, options: TestCertificateOptions & { readonly by?: TestAuthority } = {}): TestCertificate {
    const { by = this.root, ...own } = options;
    return by.issue({ commonName: `${path.split('/')[1] ?? ''}-1`, uris: [`spiffe://${this.trustDomain}/${path}`], ...own });
  }
}

export interface MeshSidecarOptions {
  readonly subject: Subject;
  readonly clock?: Clock;
}

interface Applied {
  /** Of the sidecar's own service. */
  readonly ports?: Readonly<Record<string, string>>;
  readonly mtls?: JsonObject;
  /** `shadow` for the section. */
  readonly shadow?: boolean;
  readonly destinations?: readonly string[];
  readonly destinationProtocol?: string;
  readonly retries?: JsonObject;
  readonly fleet?: DeepPartial<Fleet>;
}

/** Tests only: the data plane of one sidecar, with whatever identity the test gives it. */
export class MeshSidecar {
  readonly plane: LocalDataPlane;
  readonly refusals: RefusalRecord[] = [];
  readonly lines: string[] = [];
  readonly #subject: Subject;
  #index = 0;
  ticketSecret: Uint8Array = Buffer.alloc(32, 7);

  constructor({ subject, clock }: MeshSidecarOptions) {
    this.#subject = subject;
    this.plane = new LocalDataPlane({
      nodeId: `${subject.name}-1`, kinds: runtimeKinds, ...(clock && { clock }),
      writeLog: (text, done) => {
        this.lines.push(...text.toString().split('\n').filter((line) => line !== ''));
        done();
      },
    });
    this.plane.onRefusal((refusal) => this.refusals.push(refusal));
  }

  /** From the next connection on. */
  async identify(authority: MeshAuthority, certificate: TestCertificate = authority.issue(`${this.#subject.kind}/${this.#subject.name}`), between: readonly TestAuthority[] = []): Promise<void> {
    const chain = [certificate, ...between].map(({ cert }) => new X509Certificate(cert).raw);
    const body = encodeWorkload({
      key: createPrivateKey(certificate.key).export({ type: 'pkcs8', format: 'der' }), chain, spiffeId: `spiffe://${authority.trustDomain}/${this.#subject.kind}/${this.#subject.name}`, trustDomain: authority.trustDomain,
    });
    await this.plane.useTlsMaterial({ files: new Map(), ticketSecret: this.ticketSecret });
    await this.trust(authority.trustDomain, [authority.root]);
    await this.plane.useFacts({ kind: workloadFact.kind, full: true, facts: new Map([[workloadFact.name, body]]) });
  }

  async trust(trustDomain: string, roots: readonly TestAuthority[]): Promise<void> {
    const body = encodeTrustBundle({ trustDomain, roots: roots.map(({ cert }) => new X509Certificate(cert).raw), sequence: 1 });
    await this.plane.useFacts({ kind: trustBundleKind, full: false, facts: new Map([[trustDomain, body]]) });
  }

  async revoke(trustDomain: string, ...certificates: readonly TestCertificate[]): Promise<void> {
    const serials = new Set(certificates.map(({ cert }) => new X509Certificate(cert).serialNumber));
    await this.plane.useFacts({ kind: revocationsKind, full: false, facts: new Map([[trustDomain, encodeRevocations({ trustDomain, serials, issuedUntilMs: new Map() })]]) });
  }

  async apply({ ports = {}, mtls, shadow = false, destinations = [], destinationProtocol = 'http', retries, fleet = {} }: Applied): Promise<void> {
    const builder = new CandidateBuilder(this.#subject).fleet(fleet);
    const sections = [section(accessLogAuthoring, { format: 'json' }, false), ...(mtls ? [section(mtlsAuthoring, mtls, shadow)] : [])];
    const settings = builder.settings(...sections);
    for (const [portName, protocol] of Object.entries(ports)) builder.inbound({ portName, protocol, settings });
    const caller = retries ? builder.settings(section(retryAuthoring, retries, false)) : undefined;
    for (const service of destinations) builder.destination({ service, ports: [{ name: portOf(destinationProtocol), port: 8080, protocol: destinationProtocol }], ...(caller && { settings: caller }) });
    const candidate = builder.build({ epoch: 1, index: ++this.#index });
    const prepared = await this.plane.prepare(candidate);
    if (!prepared.ok) throw new Error(JSON.stringify(prepared.errors));
    await this.plane.swap(candidate.hash, candidate.version);
  }

  async listenInbound(portName: string, app: number): Promise<number> {
    const [bound] = await this.plane.listen([{ name: `inbound/${portName}`, side: 'inbound', host: '127.0.0.1', port: 0, portName, app: { host: '127.0.0.1', port: app } }]);
    return bound?.port ?? 0;
  }

  /** For one destination where it carries TCP. */
  async listenOutbound(destination?: string): Promise<number> {
    const [bound] = await this.plane.listen([{ name: 'outbound', side: 'outbound', host: '127.0.0.1', port: 0, ...(destination !== undefined && { destination }) }]);
    return bound?.port ?? 0;
  }

  async reach(service: string, ...endpoints: DeepPartial<Endpoint>[]): Promise<void> {
    await this.plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial({ service, endpoints })).finish()] });
  }

  /** What was counted, by name; without what is 0. */
  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.plane.readPolicyEvents()].filter(([name, value]) => value > 0 && !name.startsWith('_')));
  }

  close(): Promise<void> {
    return this.plane.close();
  }
}

export interface InstanceOptions {
  readonly id?: string;
  readonly mtls?: boolean;
  readonly protocols?: readonly string[];
  readonly portName?: string;
  readonly plaintext?: true;
}

/** An instance as its sidecar announces it. */
export function instanceAt(port: number, { id = 'orders-1', mtls = true, protocols = ['http/1.1', 'h2c'], portName = 'http', plaintext }: InstanceOptions = {}): DeepPartial<Endpoint> {
  return { id, weight: 1, source: 'lease', mtls, protocols: [...protocols], ports: [{ name: portName, host: '127.0.0.1', port, ...(plaintext && { plaintext }) }] };
}

function portOf(protocol: string): string {
  return protocol === 'tcp' || protocol === 'tls' ? 'db' : 'http';
}

function section(authoring: AuthoringKind, values: JsonObject, shadow: boolean): DeepPartial<Section> {
  const { minFormat, body } = authoring.compile(effectiveSection(authoring, values));
  return { kind: authoring.name, minFormat, body: Buffer.from(body), shadow, origins: [{ pointer: '', policy: `sets-${authoring.name}` }] };
}
