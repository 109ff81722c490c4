import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describeWith } from '@remora/testing/requirement';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { clientSecret, Keycloak } from '../processes/keycloak.ts';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { Fixture, statusOf } from './fixture.ts';

/** Who knows what tokens stand for (RFC 7662), for one client with a password that may change. */
class IntrospectionEndpoint {
  /** What it accepts as the password of its client. */
  password = '';
  /** By token: what it says. Others are not active. */
  readonly tokens = new Map<string, Readonly<Record<string, unknown>>>();
  asked = 0;
  /** Passwords that came, and were others. */
  refused = 0;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text)).on('end', () => {
        this.asked++;
        const good = request.method === 'POST' && request.headers.authorization === `Basic ${Buffer.from(`gateway:${encodeURIComponent(this.password)}`).toString('base64')}`;
        if (!good) this.refused++;
        const said = this.tokens.get(new URLSearchParams(body).get('token') ?? '') ?? { active: false };
        response.writeHead(good ? 200 : 401, { 'content-type': 'application/json' }).end(good ? JSON.stringify(said) : '{"error":"invalid_client"}');
      });
    });
  }

  static async start(): Promise<IntrospectionEndpoint> {
    const server = createServer();
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    return new IntrospectionEndpoint(server);
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return `http://127.0.0.1:${address.port}/introspect`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => { this.#server.close(resolve); });
  }
}

/** A control plane and a gateway that know each other by certificates, with everything that they say. */
class Rig {
  readonly fixture = new Fixture();
  readonly folder = mkdtempSync(path.join(tmpdir(), 'remora-e2e-introspection-'));
  controlPlane!: RunningControlPlane;
  gateway!: RunningSidecar;
  port = 0;
  said = '';
  readonly #hear = (text: string): void => {
    this.said += text;
  };

  async start(section: string, upstream: number): Promise<void> {
    const key = path.join(this.folder, 'key');
    writeFileSync(key, randomBytes(32).toString('base64'), { mode: 0o600 });
    this.controlPlane = await this.fixture.controlPlane({ bundled: false, flags: ['--identity', 'mtls', '--enrolment-port', '0', '--encryption-key-file', key, '--log-level', 'debug'], onLog: this.#hear });
    await this.controlPlane.apply(`
{kind: Gateway, name: edge, listeners: {plain: {port: 0}}}
---
{kind: Service, name: orders, ports: {http: {port: 80}}, endpoints: [{address: 127.0.0.1, port: ${upstream}}]}
---
{kind: Route, name: all, gateway: edge, to: [{service: orders}]}
---
{kind: Policy, name: tokens, target: {gateway: edge}, tokenIntrospection: ${section}}
`);
    const { token } = await this.call('POST', '/v1/identity/tokens', { gateway: 'edge' }) as { readonly token: string };
    writeFileSync(path.join(this.folder, 'token'), token, { mode: 0o600 });
    await this.startGateway();
    this.controlPlane.process.stdout?.on('data', this.#hear);
  }

  /** Two data threads; again on its disk where it was there before. */
  async startGateway(): Promise<void> {
    const { push, enrolment } = this.controlPlane;
    this.gateway = await this.fixture.sidecar([
      '--gateway', 'edge', '--control-plane', push, '--enrolment', enrolment, '--join-token-file', path.join(this.folder, 'token'), '--workers', '2', '--log-level', 'debug',
    ], { bundled: false, onLog: this.#hear, ...(this.port !== 0 && { folder: this.gateway.folder }) });
    this.gateway.process.stdout?.on('data', this.#hear);
    this.port = await until('the gateway listens', async () => {
      const { listeners } = await statusOf(this.gateway) as { readonly listeners: readonly { readonly name: string; readonly port: number }[] };
      return listeners.find(({ name }) => name === 'gateway/plain')?.port ?? 0;
    }, (found) => found > 0);
  }

  async call(method: string, target: string, body?: object): Promise<unknown> {
    const answer = await fetch(`${this.controlPlane.api}${target}`, { method, ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${target} answered ${answer.status}: ${text}`);
    return text === '' ? null : JSON.parse(text);
  }

  /** Resolves when every data thread of a gateway that is connected has it, or another answer was given: one thread that has it says nothing of the other. */
  async setSecret(value: string): Promise<void> {
    await this.call('PUT', '/v1/secrets/introspection', { value });
    await this.call('GET', '/v1/enforcement/secrets?timeout=60s');
  }

  /** Each on a connection of its own, so that any data thread gets it. */
  async get(token: string): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.port}/`, { headers: { authorization: `Bearer ${token}`, connection: 'close' } });
    const text = await response.text();
    this.said += text + JSON.stringify([...response.headers]);
    return `${response.status} ${response.headers.get('x-remora-reason') ?? text}`;
  }

  /** Everything that a person, a program or a thief of one disk can read of both processes. */
  async everythingShown(): Promise<readonly (readonly [string, string])[]> {
    const admin = `http://127.0.0.1:${this.gateway.ports['admin']}`;
    const pages = ['/metrics', '/status', '/snapshot', '/state', '/log-level', '/route?host=x&path=/'].map((page) => `${admin}${page}`);
    const paths = [
      '/v1/secrets', '/v1/secrets/introspection', '/v1/sidecars', '/v1/revisions', '/v1/policies', '/v1/policies/tokens', '/v1/audit', '/metrics', '/openapi.json', '/v1/explain?gateway=edge&route=all',
    ].map((page) => `${this.controlPlane.api}${page}`);
    const shown = await Promise.all([...pages, ...paths].map(async (address) => [address, await (await fetch(address)).text()] as const));
    return [...shown, ['the logs, and answers to clients', this.said], ['the files of the control plane', filesBelow(this.controlPlane.folder)], ['arguments and environment', this.processFacts()]];
  }

  processFacts(): string {
    return [this.controlPlane, this.gateway].map(({ process }) => ['cmdline', 'environ'].map((fact) => readFileSync(`/proc/${process.pid}/${fact}`, 'latin1')).join('\n')).join('\n');
  }

  async end(): Promise<void> {
    await this.fixture.end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function filesBelow(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => readFileSync(path.join(entry.parentPath, entry.name), 'latin1')).join('\n');
}

/** As it stands, and as it travels. */
function formsOf(secret: string): readonly string[] {
  return [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64').replaceAll('=', ''), Buffer.from(`gateway:${encodeURIComponent(secret)}`).toString('base64'), Buffer.from(secret).toString('hex')];
}

describe('tokenIntrospection with a Secret', () => {
  let rig: Rig;
  let endpoint: IntrospectionEndpoint;
  let app: { readonly port: number };
  beforeEach(async () => {
    rig = new Rig();
    endpoint = await IntrospectionEndpoint.start();
    app = await rig.fixture.app('orders');
  });
  afterEach(async () => {
    await rig.end();
    await endpoint.stop();
  });

  test('it comes by the state lane, changes live, is missed by its own reason, and is there after a restart without a control plane', async () => {
    const [first, second] = ['first/planted+secret of a client', 'second:planted-secret-of-a-client'];
    endpoint.password = first;
    endpoint.tokens.set('good-token', { active: true, sub: 'anna', scope: 'orders.read' });
    await rig.start(`{endpoint: "${endpoint.url}", allowPrivateAddresses: true, clientId: gateway, clientSecret: {secret: introspection}, cacheFor: 0s, rejectedFor: 0s}`, app.port);

    await until('the Secret is missed', () => rig.get('good-token'), (got) => got === '503 introspection-secret');
    expect(endpoint.asked).toBe(0);
    expect(await rig.call('GET', '/v1/secrets')).toMatchObject({ items: [{ name: 'introspection', state: 'missing', usedBy: ['gateway/edge'] }] });

    await rig.setSecret(first);
    await until('tokens are known', () => rig.get('good-token'), (got) => got === '200 orders');
    expect(await rig.get('another-token')).toBe('401 introspection-inactive');
    expect(endpoint.refused).toBe(0);

    // The endpoint has another password now: nobody is let in with the old one, and the new one is in use when it is here.
    endpoint.password = second;
    for (let i = 0; i < 8; i++) expect(await rig.get('good-token')).toBe('503 introspection-unavailable');
    expect(endpoint.refused).toBeGreaterThan(0);
    await rig.setSecret(second);
    await until('the new Secret is used', () => rig.get('good-token'), (got) => got === '200 orders');

    // From its disk, without a control plane. What comes by the state lane is written once a second at most.
    await until('it is on the disk', () => statusOf(rig.gateway) as Promise<{ readonly state: { readonly persisted: boolean; readonly items: number } }>, ({ state }) => state.persisted);
    rig.controlPlane.process.kill('SIGKILL');
    const gone = new Promise((resolve) => rig.gateway.process.once('exit', resolve));
    rig.gateway.process.kill('SIGKILL');
    await gone;
    await rig.startGateway();
    await until('tokens are known again', () => rig.get('good-token'), (got) => got === '200 orders');
  }, 120_000);

  test('it is in no page, answer, log, argument, environment, or file of the control plane', async () => {
    const planted = 'planted/secret+that nobody:may=read';
    endpoint.password = planted;
    await rig.start(`{endpoint: "${endpoint.url}", allowPrivateAddresses: true, clientId: gateway, clientSecret: {secret: introspection}}`, app.port);
    await rig.setSecret(planted);
    await until('tokens are asked about', () => rig.get('unknown-token'), (got) => got === '401 introspection-inactive');
    endpoint.password = 'another one';
    await until('the endpoint refuses it', () => rig.get(`unknown-${randomBytes(4).toString('hex')}`), (got) => got === '503 introspection-unavailable');
    await until('the gateway says so', () => rig.said, (text) => text.includes('tokens cannot be introspected'));
    for (const [place, text] of await rig.everythingShown()) {
      expect(text.length, place).toBeGreaterThan(0);
      for (const form of formsOf(planted)) expect(text.includes(form), `${place} has it`).toBe(false);
      if (place.startsWith('the logs')) expect(text).not.toContain('unknown-token');
    }
  }, 120_000);

  test('a Secret that is taken away is missed at once', async () => {
    endpoint.password = 'planted secret of a client';
    endpoint.tokens.set('good-token', { active: true, sub: 'anna' });
    await rig.start(`{endpoint: "${endpoint.url}", allowPrivateAddresses: true, clientId: gateway, clientSecret: {secret: introspection}, cacheFor: 0s}`, app.port);
    await rig.setSecret(endpoint.password);
    await until('tokens are known', () => rig.get('good-token'), (got) => got === '200 orders');
    await rig.controlPlane.apply(`{kind: Policy, name: tokens, target: {gateway: edge}, tokenIntrospection: {endpoint: "${endpoint.url}", allowPrivateAddresses: true, clientId: gateway, clientSecret: {secret: other}, cacheFor: 0s}}`);
    await until('the other Secret is missed', () => rig.get('good-token'), (got) => got === '503 introspection-secret');
  }, 120_000);
});

describeWith('kc.sh', 'tokenIntrospection by Keycloak, with a Secret', (command) => {
  let keycloak: Keycloak;
  const rig = new Rig();
  beforeAll(async () => {
    keycloak = await Keycloak.start(command);
  }, 300_000);
  afterAll(async () => {
    await rig.end();
    await keycloak.stop();
  }, 60_000);

  test('tokens of a machine are known with the right Secret only', async () => {
    const app = await rig.fixture.app('orders');
    await rig.start(`{endpoint: "${keycloak.introspection}", allowPrivateAddresses: true, clientId: gateway, clientSecret: {secret: introspection}, audiences: [orders], cacheFor: 0s, rejectedFor: 0s, deadline: 10s}`, app.port);
    const token = await keycloak.machineToken();
    await until('the Secret is missed', () => rig.get(token), (got) => got === '503 introspection-secret');
    await rig.setSecret('a wrong one');
    await until('Keycloak refuses it', () => rig.get(token), (got) => got === '503 introspection-unavailable', 30_000);
    await rig.setSecret(clientSecret);
    await until('tokens are known', () => rig.get(token), (got) => got === '200 orders', 30_000);
    await keycloak.revoke(token);
    await until('a revoked token is refused', () => rig.get(token), (got) => got === '401 introspection-inactive');
    expect(rig.said).not.toContain(encodeURIComponent(clientSecret));
  }, 180_000);
});
