import { writeFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import type tls from 'node:tls';
import { scratchFolder } from '@remora/testing/scratch-folder';
import { TestAuthority, type TestCertificate } from '@remora/testing/test-authority';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ask } from '../processes/traffic.ts';
import { startEdge, threadsOf, type Edge } from './edge.ts';
import { Fixture } from './fixture.ts';
import { runRemora } from './shop.ts';

const authority = new TestAuthority();
const stranger = new TestAuthority('somebody else');
const folder = scratchFolder('upstream-tls');
const connectMs = 2_000;

/** TLS that a caller begins, towards servers outside of the mesh, by a real gateway: what goes wrong, and what is said of it. */
describe('an upstream that speaks TLS itself', () => {
  const fixture = new Fixture();
  let edge: Edge;

  beforeAll(async () => {
    const client = authority.issue({ commonName: 'the gateway' });
    for (const [name, text] of [['ca.pem', authority.cert], ['client.crt', client.cert], ['client.key', client.key]] as const) writeFileSync(path.join(folder, name), text);
    edge = await startEdge(fixture, {
      upstreams: [await plain()], flags: ['--telemetry-interval', '1s'],
      documents: `{kind: Policy, name: limits, target: {gateway: edge}, timeout: {connect: ${connectMs}ms, request: 20s}, outlierDetection: {consecutive5xx: 0, consecutiveLocalFailures: 0}}`,
    });
  });

  afterEach(() => expect(edge.gateway.process.exitCode).toBeNull());

  afterAll(() => fixture.end());


  /** Answers with the name that it was shown. */
  function secure(certificate: TestCertificate, options: https.ServerOptions = {}): Promise<number> {
    const server = https.createServer({ ...certificate, ...options }, ({ socket }, response) => {
      response.end(`${(socket as tls.TLSSocket).getPeerX509Certificate()?.subject ?? 'nobody'} was here`);
    });
    return fixture.listen(server.on('tlsClientError', () => {}));
  }

  function plain(): Promise<number> {
    return fixture.listen(net.createServer((socket) => void socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'))));
  }

  /** Takes connections, reads what comes, and says nothing. */
  function stalling(): Promise<number> {
    return fixture.listen(net.createServer((socket) => void socket.resume()));
  }

  const good = { dns: ['app.test'] };

  function orders(ports: readonly number[], more = ''): string {
    return `{kind: Service, name: orders, ports: {http: {port: 443, tls: {serverName: app.test, caFiles: [${folder}/ca.pem]${more}}}}, endpoints: [${ports.map((port) => `{address: 127.0.0.1, port: ${port}}`).join(', ')}]}`;
  }

  const clientCertificate = `, clientCertificate: {certFile: ${folder}/client.crt, keyFile: ${folder}/client.key}`;

  const rows: readonly { readonly name: string; readonly server: () => Promise<number>; readonly more?: string; readonly status: number; readonly says: string; readonly why: RegExp }[] = [
    { name: 'whose certificate leads to our authority', server: () => secure(authority.issue(good)), status: 200, says: 'nobody was here', why: /$/ },
    { name: 'that demands a certificate, and gets it', server: () => secure(authority.issue(good), { ca: authority.cert, requestCert: true }), more: clientCertificate, status: 200, says: 'CN=the gateway was here', why: /$/ },
    { name: 'that demands one, and gets none', server: () => secure(authority.issue(good), { ca: authority.cert, requestCert: true, maxVersion: 'TLSv1.2' }), status: 503, says: 'upstream-tls-failed', why: /upstream-tls-failed/ },
    { name: 'whose certificate is for somebody else', server: () => secure(authority.issue({ dns: ['other.test'] })), status: 503, says: 'upstream-tls-name', why: /upstream-tls-name/ },
    { name: 'whose certificate has expired', server: () => secure(authority.issue({ ...good, validTo: new Date(Date.now() - 60_000) })), status: 503, says: 'upstream-tls-untrusted', why: /upstream-tls-untrusted/ },
    { name: 'that vouches for itself', server: () => secure(new TestAuthority('app.test')), status: 503, says: 'upstream-tls-untrusted', why: /upstream-tls-untrusted/ },
    { name: 'whose authority is another one', server: () => secure(stranger.issue(good)), status: 503, says: 'upstream-tls-untrusted', why: /upstream-tls-untrusted/ },
    { name: 'that speaks no TLS after all', server: plain, status: 503, says: 'upstream-tls-failed', why: /upstream-tls-failed/ },
    { name: 'whose handshake stalls', server: stalling, status: 503, says: 'connect-timeout', why: new RegExp(`connect-timeout.*${connectMs} ms`, 's') },
  ];

  test.for(rows)('$name: $status, $says', async ({ server, more, status, says, why }) => {
    await edge.apply(orders([await server()], more));
    const answer = await ask({ port: edge.port, path: '/one' });
    expect([answer.status, status === 200 ? answer.body : answer.headers['x-remora-reason']]).toEqual([status, says]);
    if (status === 200) return;
    expect(answer.body).not.toMatch(/127\.0\.0\.1|app\.test|CN=/);
    const { code, out } = await runRemora(edge.controlPlane.api, ['why', String(answer.headers['x-request-id'])]);
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringMatching(why) });
    expect(out).toMatch(/tried {7}1 {2}127\.0\.0\.1:\d+/);
  });

  test('that refuses the certificate it is shown: within the handshake or just behind it, and never with an answer', async () => {
    await edge.apply(orders([await secure(authority.issue(good), { ca: stranger.cert, requestCert: true, maxVersion: 'TLSv1.2' })], clientCertificate));
    const answer = await ask({ port: edge.port, path: '/refused' });
    expect(['503 upstream-tls-failed', '502 upstream-reset']).toContain(`${answer.status} ${String(answer.headers['x-remora-reason'])}`);
  });

  test('a handshake that stalls ends at the connect limit, and leaves no connection behind', async () => {
    const port = await stalling();
    await edge.apply(`${orders([port])}\n---\n{kind: Policy, name: once, target: {service: orders}, retry: {retries: 0}}`);
    const answer = await ask({ port: edge.port, path: '/stall' });
    expect([answer.status, answer.headers['x-remora-reason']]).toEqual([503, 'connect-timeout']);
    expect(answer.elapsedMs).toBeGreaterThan(connectMs - 50);
    const pools = (await threadsOf(edge.gateway)).flatMap(({ pools: all }) => all.filter(({ address }) => address.endsWith(`:${port}`)));
    expect(pools.every(({ open, active, waiting }) => open + active + waiting === 0)).toBe(true);
    await fetch(`${edge.controlPlane.api}/v1/policies/once?wait=applied&timeout=60s`, { method: 'DELETE' });
  });

  test.for([
    ['is for somebody else', (): Promise<number> => secure(authority.issue({ dns: ['other.test'] }))], ['has expired', (): Promise<number> => secure(authority.issue({ ...good, validTo: new Date(Date.now() - 60_000) }))],
    ['nobody ever sees: it stalls', stalling], ['does not exist: it speaks no TLS', plain],
  ] as const)('with an instance whose certificate %s and a good one no request fails', async ([, bad]) => {
    await edge.apply(orders([await bad(), await secure(authority.issue(good))]));
    for (let i = 0; i < 20; i++) expect([(await ask({ port: edge.port, path: '/both', method: i % 2 === 0 ? 'GET' : 'POST', headers: { connection: 'close' } })).status]).toEqual([200]);
  });
});
