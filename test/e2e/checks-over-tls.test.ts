import { writeFileSync } from 'node:fs';
import { createSecureServer, type ServerHttp2Stream } from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import type tls from 'node:tls';
import { freePort } from '@remora/testing/free-port';
import { scratchFolder } from '@remora/testing/scratch-folder';
import { TestAuthority } from '@remora/testing/test-authority';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../processes/until.ts';
import { startEdge, type Edge } from './edge.ts';
import { Fixture } from './fixture.ts';

const authority = new TestAuthority();
const folder = scratchFolder('checks-over-tls');
const certificate = authority.issue({ dns: ['app.test'] });

interface Trouble { readonly kind: string; readonly event: string; readonly host: string; readonly detail: string }

/** Callers ask hosts outside of the mesh as they call them: by TLS of the Service's port, by a real gateway. */
describe('health checks of hosts that speak TLS', () => {
  const fixture = new Fixture();
  let edge: Edge;

  beforeAll(async () => {
    const client = authority.issue({ commonName: 'the gateway' });
    for (const [name, text] of [['ca.pem', authority.cert], ['client.crt', client.cert], ['client.key', client.key]] as const) writeFileSync(path.join(folder, name), text);
    edge = await startEdge(fixture, { upstreams: [9], flags: ['--telemetry-interval', '1s'] });
  });

  afterAll(() => fixture.end());


  async function troubles(): Promise<readonly Trouble[]> {
    return (await (await fetch(`${edge.controlPlane.api}/v1/services/orders/health`)).json() as { readonly troubles: readonly Trouble[] }).troubles;
  }

  const unhealthy = (detail: RegExp): Promise<readonly Trouble[]> => until(`it is ill: ${String(detail)}`, troubles, (all) => all.some(({ event, detail: text }) => event === 'unhealthy' && detail.test(text)), 60_000);
  const calm = (): Promise<readonly Trouble[]> => until('nothing is held against it', troubles, (all) => all.length === 0, 60_000);

  /** A second for each: on a busy machine a check that is late would hide what it was to meet. */
  const check = (more: string): string => `{kind: Policy, name: asked, target: {service: orders}, healthCheck: {interval: 1s, timeout: 1s, unhealthyThreshold: 2, healthyThreshold: 1${more}}}`;
  const secured = `tls: {serverName: app.test, caFiles: [${folder}/ca.pem]`;
  const service = (ports: string, endpoints: string): string => `{kind: Service, name: orders, ports: {${ports}}, endpoints: [${endpoints}]}`;

  test('over HTTPS, with the client certificate of the Service, which the host demands', async () => {
    const seen = new Set<string>();
    let well = true;
    const port = await fixture.listen(https.createServer({ ...certificate, ca: authority.cert, requestCert: true }, ({ url, headers, socket }, response) => {
      seen.add(`${url} ${headers.host} ${(socket as tls.TLSSocket).getPeerX509Certificate()?.subject}`);
      response.writeHead(well ? 200 : 503).end();
    }).on('tlsClientError', () => {}));
    const at = `{address: 127.0.0.1, port: ${port}}`;
    await edge.apply([service(`http: {port: 443, ${secured}, clientCertificate: {certFile: ${folder}/client.crt, keyFile: ${folder}/client.key}}}`, at), check(', http: {path: /healthz}')].join('\n---\n'));
    await until('it is asked', () => seen.size, (count) => count > 0);
    expect([...seen]).toEqual(['/healthz orders CN=the gateway']);
    well = false;
    await unhealthy(/503/);
    well = true;
    await calm();
    // Without the certificate it is ill, whatever it would answer.
    await edge.apply(service(`http: {port: 443, ${secured}}}`, at));
    await unhealthy(/./);
    await edge.apply(service(`http: {port: 443, ${secured}, clientCertificate: {certFile: ${folder}/client.crt, keyFile: ${folder}/client.key}}}`, at));
    await calm();
  }, 180_000);

  test('a certificate for somebody else is no good answer', async () => {
    const port = await fixture.listen(https.createServer(authority.issue({ dns: ['other.test'] }), (_request, response) => void response.end()).on('tlsClientError', () => {}));
    await edge.apply([service(`http: {port: 443, ${secured}}}`, `{address: 127.0.0.1, port: ${port}}`), check('')].join('\n---\n'));
    expect(await unhealthy(/certificate|name/i)).toHaveLength(1);
  }, 120_000);

  test('gRPC health over TLS', async () => {
    let status = 1;
    const asked: string[] = [];
    const server = createSecureServer(certificate);
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      stream.on('error', () => {}).resume().on('end', () => {
        asked.push(String(headers[':path']));
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end(Buffer.from([0, 0, 0, 0, 2, 8, status]));
      });
    });
    const port = await fixture.listen(server.on('sessionError', () => {}).on('tlsClientError', () => {}));
    await edge.apply([service(`http: {port: 443, protocol: grpc, ${secured}}}`, `{address: 127.0.0.1, port: ${port}}`), check('')].join('\n---\n'));
    await until('it is asked', () => asked.length, (count) => count > 1);
    expect(new Set(asked)).toEqual(new Set(['/grpc.health.v1.Health/Check']));
    await calm();
    status = 2;
    await unhealthy(/NOT_SERVING/);
    status = 1;
    await calm();
  }, 180_000);

  test('a check of a port that is the wrong one says what it met there', async () => {
    const plain = await fixture.listen(net.createServer((socket) => void socket.once('data', () => socket.end('SSH-2.0-OpenSSH_9.6\r\n'))));
    const tlsOnly = await fixture.listen(https.createServer(certificate, (_request, response) => void response.end()).on('tlsClientError', () => {}));
    const ports = (admin: number): string => `http: {port: 443, ${secured}}}, admin: {port: ${admin}}`;
    const at = (admin: number): string => `{address: 127.0.0.1, ports: {http: ${tlsOnly}, admin: ${admin}}}`;
    await edge.apply([service(ports(81), at(plain)), check(', port: admin')].join('\n---\n'));
    await unhealthy(/SSH-2\.0/);
    // As OpenSSL and most others answer who does not speak TLS (RFC 8446 section 6).
    const alerting = await fixture.listen(net.createServer((socket) => void socket.once('data', () => socket.end(Buffer.from('15030300020246', 'hex')))));
    await edge.apply(service(ports(81), at(alerting)));
    await unhealthy(/TLS/);
    await edge.apply(service(ports(81), at(await freePort())));
    await unhealthy(/nobody listens/);
    await edge.apply(check(', port: http'));
    expect(await calm()).toEqual([]);
  }, 180_000);
});
