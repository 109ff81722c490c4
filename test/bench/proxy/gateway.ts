import { freePort } from '@remora/testing/free-port';
import { startControlPlane, startSidecar } from '../../processes/remora.ts';
import type { Contestant, Stage } from './scenario.ts';

export interface GatewayOptions {
  readonly backend: number;
  /** Protocol of the backend's port: `http` or `http2`. */
  readonly protocol?: string;
  /** Further lines of the listener, as YAML in flow style: `, protocol: https, tls: {…}`. */
  readonly listener?: string;
  /** Further documents. */
  readonly documents?: string;
  /** Flags of the sidecar. */
  readonly flags?: readonly string[];
  readonly name?: string;
  /** Instead of the stage's one core: a list such as `0,1`. */
  readonly cores?: string;
  /** Between the documents and the gateway's start: gets the address of the API. */
  readonly prepare?: (api: string) => Promise<void>;
  /** Asks until the gateway answers; a scenario over TLS or HTTP/2 asks its own way. */
  readonly probe?: (port: number) => Promise<boolean>;
}

/** A whole Remora: a control plane beside the load, one gateway on the core that is measured, documents applied as a user would. */
export async function startGateway(stage: Stage, options: GatewayOptions): Promise<Contestant> {
  const controlPlane = await startControlPlane({ core: stage.loadCore, flags: ['--store', 'memory'], bundled: stage.bundled });
  stage.own(controlPlane.process);
  const port = await freePort();
  await controlPlane.apply(`
kind: Gateway
name: edge
listeners: {main: {port: ${port}${options.listener ?? ''}}}
---
kind: Service
name: users
ports: {http: {port: ${options.backend}, protocol: ${options.protocol ?? 'http'}}}
endpoints: [{address: 127.0.0.1}]
---
kind: Route
name: users
gateway: edge
match: {path: {prefix: /api}}
to: [{service: users}]
${options.documents ?? ''}`);
  await options.prepare?.(controlPlane.api);
  const sidecar = await startSidecar(['--gateway', 'edge', '--control-plane', controlPlane.push, ...(options.flags ?? [])], { core: options.cores ?? stage.proxyCore, bundled: stage.bundled });
  stage.own(sidecar.process);
  await untilAnswers(options.probe ?? probeHttp, port);
  return { name: options.name ?? 'remora', port, process: sidecar.process };
}

async function probeHttp(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/api/users/123`).then((response) => response.ok, () => false);
}

async function untilAnswers(probe: (port: number) => Promise<boolean>, port: number): Promise<void> {
  const end = performance.now() + 15_000;
  while (!(await probe(port))) {
    if (performance.now() > end) throw new Error(`the gateway does not answer on port ${port}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

/** Turns off what is on without any policy: the gateway does nothing but route and forward. */
export const nothingOn = `---
kind: Policy
name: bare
target: {gateways: all}
requestId: {enabled: false}
timeout: {enabled: false}
retry: {enabled: false}
outlierDetection: {enabled: false}
circuitBreaker: {enabled: false}
`;
