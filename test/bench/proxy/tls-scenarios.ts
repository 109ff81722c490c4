import { execFile, execFileSync } from 'node:child_process';
import https from 'node:https';
import path from 'node:path';
import { promisify } from 'node:util';
import { startBackend, startEnvoy, startNginx } from '../../processes/peers.ts';
import { wrk } from '../../processes/load.ts';
import { nothingOn, startGateway } from './gateway.ts';
import { own, present } from './installed.ts';
import type { Bar, Contestant, Load, Scenario, Stage } from './scenario.ts';

const run = promisify(execFile);

/** TLS 1.3 in, HTTP/1.1 in clear to the backend; one ECDSA P-256 certificate. */
function inbound(name: string, what: string, bars: readonly Bar[], load: Scenario['load']): Scenario {
  return { name: `tls-${name}`, what: `TLS 1.3 in (ECDSA P-256), ${what}`, compares: 'cpu', bars, start, load };
}

async function start(stage: Stage): Promise<Contestant[]> {
  makeCertificate(stage.folder);
  const backend = await startBackend(stage.folder, stage.loadCore);
  stage.own(backend.process);
  const files = `{certFile: ${stage.folder}/server.crt, keyFile: ${stage.folder}/server.key}`;
  return present([
    startGateway(stage, { backend: backend.port, listener: `, protocol: https, tls: {certificates: [${files}], minVersion: "1.3"}`, documents: nothingOn, probe }),
    startNginx(stage.folder, stage.proxyCore, backend.port, 'nginx-tls-proxy.conf').then(own(stage, 'nginx')),
    startEnvoy(stage.folder, stage.proxyCore, backend.port, 'envoy-tls.json').then(own(stage, 'envoy')),
  ]);
}

function makeCertificate(folder: string): void {
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', path.join(folder, 'server.key'), '-out', path.join(folder, 'server.crt'),
  ], { stdio: 'ignore' });
}

function probe(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    https.get({ host: '127.0.0.1', port, path: '/api/users/123', rejectUnauthorized: false, servername: 'localhost', agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).on('error', () => resolve(false));
  });
}

/** A new connection for each request, one at a time, by `openssl s_time`: all but the first resume its session. */
async function resumedConnections({ port }: Contestant, seconds: number, core: number): Promise<Load> {
  const flags = ['s_time', '-connect', `127.0.0.1:${port}`, '-reuse', '-tls1_3', '-time', String(seconds), '-www', '/api/users/123'];
  const { stdout } = await run('taskset', ['-c', String(core), 'openssl', ...flags], { maxBuffer: 1 << 22 });
  const requests = Number([...stdout.matchAll(/(\d+) connections in (\d+) real seconds/g)].at(-1)?.[1] ?? 0);
  const mean = (seconds * 1000) / Math.max(1, requests);
  return { requests, perSecond: requests / seconds, p50Ms: mean, p99Ms: Number.NaN, errors: 0 };
}

export const tlsScenarios: readonly Scenario[] = [
  // By name: an address is no server name (RFC 6066 section 3), and wrk would send it as one.
  inbound('keepalive', 'keep-alive', [{ peer: 'nginx', max: 1.35 }, { peer: 'envoy', max: 0.5 }],
    ({ port }, seconds, core) => wrk({ url: `https://localhost:${port}/api/users/123`, connections: 64, seconds, core })),
  inbound('new', 'a full handshake per request', [{ peer: 'nginx', max: 1.6 }], 
    ({ port }, seconds, core) => wrk({ url: `https://localhost:${port}/api/users/123`, connections: 16, seconds, core, headers: ['Connection: close'] })),
  inbound('resumed', 'a resumed connection per request', [{ peer: 'nginx', max: 1.6 }], resumedConnections),
];
