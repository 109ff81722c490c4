import { randomBytes } from 'node:crypto';
import { get } from 'node:http';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { TestAuthority } from '@remora/testing/test-authority';
import { h2load, wrk } from '../../processes/load.ts';
import { startBackend } from '../../processes/peers.ts';
import { startControlPlane, startSidecar } from '../../processes/remora.ts';
import { present } from '../proxy/installed.ts';
import type { Contestant, Scenario, Stage } from '../proxy/scenario.ts';
import { startEnvoyPair, type MeshFiles } from './envoy-pair.ts';

const what = 'two hops with mTLS between them (HTTP/2), small JSON, HTTP/1.1 client';
const requestPath = '/api/users/123';

async function start(stage: Stage): Promise<Contestant[]> {
  folder = stage.folder;
  const backend = await startBackend(stage.folder, stage.loadCore);
  stage.own(backend.process);
  const root = new TestAuthority('bench');
  const files = (name: string): MeshFiles => {
    const { cert, key } = root.issue({ uris: [`spiffe://bench.example/service/${name}`] });
    const made = { certificate: path.join(stage.folder, `${name}.crt`), key: path.join(stage.folder, `${name}.key`), root: path.join(stage.folder, 'root.crt') };
    writeFileSync(made.certificate, cert);
    writeFileSync(made.key, key);
    writeFileSync(made.root, root.cert);
    return made;
  };
  return present([startPair(stage, backend.port), startEnvoyPair(stage, backend.port, { caller: files('web'), callee: files('orders') })]);
}

/** Two sidecars that joined a control plane as users' do: strict mTLS, the policies that are always there. */
async function startPair(stage: Stage, backend: number): Promise<Contestant> {
  const key = path.join(stage.folder, 'encryption.key');
  writeFileSync(key, randomBytes(32).toString('base64'), { mode: 0o600 });
  const controlPlane = await startControlPlane({ core: stage.loadCore, bundled: stage.bundled, flags: ['--store', 'memory', '--identity', 'mtls', '--enrolment-port', '0', '--encryption-key-file', key] });
  stage.own(controlPlane.process);
  await controlPlane.apply(`
{kind: Service, name: web, ports: {http: {port: 80, protocol: http}}, dependsOn: [orders]}
---
{kind: Service, name: orders, ports: {http: {port: 80, protocol: http}}}
---
{kind: Policy, name: strict, target: {service: orders}, mtls: {mode: strict}}
`);
  const join = async (service: string, flags: readonly string[]): Promise<Awaited<ReturnType<typeof startSidecar>>> => {
    const answer = await fetch(`${controlPlane.api}/v1/identity/tokens`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ service }) });
    const token = path.join(stage.folder, `${service}.token`);
    writeFileSync(token, (await answer.json() as { readonly token: string }).token, { mode: 0o600 });
    const sidecar = await startSidecar(['--service', service, '--control-plane', controlPlane.push, '--enrolment', controlPlane.enrolment, '--join-token-file', token, ...flags], { core: stage.proxyCore, bundled: stage.bundled });
    stage.own(sidecar.process);
    return sidecar;
  };
  const orders = await join('orders', ['--app', `127.0.0.1:${backend}`, '--inbound', '0', '--no-outbound']);
  const web = await join('web', ['--outbound', '0']);
  const port = web.ports['outbound'] ?? 0;
  await untilAnswers(port);
  return { name: 'remora', port, process: web.process, others: [orders.process] };
}

async function untilAnswers(port: number): Promise<void> {
  const end = performance.now() + 30_000;
  const ask = (): Promise<boolean> => new Promise((resolve) => {
    get({ host: '127.0.0.1', port, path: requestPath, headers: { host: 'orders' }, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).on('error', () => resolve(false));
  });
  while (!(await ask())) {
    if (performance.now() > end) throw new Error(`web does not reach orders over port ${port}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

/** Of the scenario that runs. */
let folder = '';

/** Sidecar to sidecar, as much as it takes, and 1,000 requests a second. */
export const meshScenarios: readonly Scenario[] = [
  {
    name: 'mesh', what, compares: 'cpu', bars: [{ peer: 'envoy', max: 0.5 }], start,
    load: ({ port }, seconds, core) => wrk({ url: `http://127.0.0.1:${port}${requestPath}`, connections: 64, seconds, core, headers: ['Host: orders'] }),
  },
  {
    name: 'mesh-steady', what: `${what}, 1,000 requests a second`, compares: 'cpu', bars: [], p50Below: 'envoy', start,
    load: ({ name, port }, seconds, core) => h2load({
      url: `http://127.0.0.1:${port}${requestPath}`, connections: 20, streams: 1, ratePerConnection: 50, http1: true, seconds, core, headers: [':authority: orders'], log: path.join(folder, `${name}.log`),
    }),
  },
];
