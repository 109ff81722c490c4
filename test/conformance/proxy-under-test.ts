import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { TestAuthority, type TestCertificate } from '@remora/testing/test-authority';
import { scratchFolder } from '@remora/testing/scratch-folder';
import { stop } from '../processes/child.ts';
import { startControlPlane, startSidecar, type RunningControlPlane, type RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';

export interface ProxyOptions {
  /** Where the upstream listens. */
  readonly upstreamPort: number;
  /** The Service's protocol, as its document says it. */
  readonly protocol?: string;
  /** 1: a gateway before the upstream. 2: a gateway, then the sidecar of the upstream. */
  readonly hops?: 1 | 2;
  /** Further documents; `NAME` in them is the name of the gateway. */
  readonly documents?: string;
  /** Clients speak TLS to the gateway, which shows `certificate`. */
  readonly secured?: boolean;
  /** The upstream speaks TLS, with a certificate that nobody looks at. */
  readonly upstreamSecured?: boolean;
}

export interface Proxy {
  readonly port: number;
  readonly gateway: RunningSidecar;
  /** All that a request passes through, the gateway first. */
  readonly sidecars: readonly RunningSidecar[];
}

/** A control plane, and gateways and sidecars that a suite puts before its upstreams. Runs the sources. */
export class ProxiesUnderTest {
  readonly controlPlane: RunningControlPlane;
  /** For 127.0.0.1 and localhost. */
  readonly certificate: TestCertificate;
  readonly certFile: string;
  readonly keyFile: string;
  readonly #folder: string;
  readonly #sidecars: RunningSidecar[] = [];
  #made = 0;

  private constructor(controlPlane: RunningControlPlane) {
    this.controlPlane = controlPlane;
    this.#folder = scratchFolder('conformance');
    const { cert, key } = new TestAuthority().issue({ commonName: 'localhost', dns: ['localhost'], addresses: ['127.0.0.1'] });
    this.certificate = { cert, key };
    this.certFile = path.join(this.#folder, 'server.crt');
    this.keyFile = path.join(this.#folder, 'server.key');
    writeFileSync(this.certFile, cert);
    writeFileSync(this.keyFile, key, { mode: 0o600 });
  }

  static async start(): Promise<ProxiesUnderTest> {
    return new ProxiesUnderTest(await startControlPlane());
  }

  async proxy(options: ProxyOptions): Promise<Proxy> {
    const { upstreamPort, protocol = 'http', hops = 1, documents = '', secured = false, upstreamSecured = false } = options;
    const name = `proxy-${process.pid}-${++this.#made}`;
    const endpoints = hops === 1 ? `, endpoints: [{address: 127.0.0.1, port: ${upstreamPort}}]` : '';
    await this.controlPlane.apply([
      `{kind: Gateway, name: ${name}, listeners: {front: {port: 0${secured ? `, protocol: https, tls: {certificates: [{certFile: ${this.certFile}, keyFile: ${this.keyFile}}]}` : ''}}}}`,
      `{kind: Service, name: ${name}-app, ports: {http: {port: 80, protocol: ${protocol}${upstreamSecured ? ', tls: {verify: none}' : ''}}}${endpoints}}`,
      `{kind: Route, name: ${name}-all, gateway: ${name}, match: {path: {prefix: /}}, to: [{service: ${name}-app}]}`,
      ...(documents === '' ? [] : [documents.replaceAll('NAME', name)]),
    ].join('\n---\n'));
    const behind = hops === 1 ? [] : [await this.#sidecar(['--service', `${name}-app`, '--app', `http=127.0.0.1:${upstreamPort}`, '--inbound', 'http=0', '--no-outbound'])];
    const gateway = await this.#sidecar(['--gateway', name]);
    const port = await until('the gateway listens', () => listenerPort(gateway), (found) => found > 0);
    return { port, gateway, sidecars: [gateway, ...behind] };
  }

  async #sidecar(flags: readonly string[]): Promise<RunningSidecar> {
    const sidecar = await startSidecar([...flags, '--log-level', 'error', '--control-plane', this.controlPlane.push]);
    this.#sidecars.push(sidecar);
    return sidecar;
  }

  async end(): Promise<void> {
    for (const { process } of this.#sidecars) await stop(process);
    await stop(this.controlPlane.process);
    for (const folder of [this.#folder, ...[...this.#sidecars, this.controlPlane].map((running) => running.folder)]) rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts a control plane, runs, and ends whatever was started. */
export async function withProxies<T>(run: (proxies: ProxiesUnderTest) => Promise<T>): Promise<T> {
  const proxies = await ProxiesUnderTest.start();
  try {
    return await run(proxies);
  } finally {
    await proxies.end();
  }
}

async function listenerPort(gateway: RunningSidecar): Promise<number> {
  const status = await (await fetch(`http://127.0.0.1:${gateway.ports['admin']}/status`)).json() as { readonly listeners: readonly { readonly name: string; readonly port: number }[] };
  return status.listeners.find(({ name }) => name === 'gateway/front')?.port ?? 0;
}
