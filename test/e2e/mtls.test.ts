import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { Fixture, twoServices, untilInSync } from './fixture.ts';

/** Real processes on the way from plaintext to strict mTLS, without a request lost. */
describe('mTLS in the mesh', () => {
  let fixture: Fixture;
  let secrets: string;
  let close: (() => void)[];
  beforeEach(() => {
    fixture = new Fixture();
    close = [];
    secrets = mkdtempSync(path.join(tmpdir(), 'remora-e2e-mtls-'));
    writeFileSync(path.join(secrets, 'key'), randomBytes(32).toString('base64'), { mode: 0o600 });
  });
  afterEach(async () => {
    await fixture.end();
    for (const one of close) one();
    rmSync(secrets, { recursive: true });
  });

  const controlPlane = (): Promise<RunningControlPlane> => fixture.controlPlane({ flags: ['--identity', 'mtls', '--enrolment-port', '0', '--encryption-key-file', path.join(secrets, 'key')] });

  async function joined({ api, push, enrolment }: RunningControlPlane, service: string, flags: readonly string[]): Promise<RunningSidecar> {
    const answer = await fetch(`${api}/v1/identity/tokens`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ service }) });
    const file = path.join(secrets, `${service}.token`);
    writeFileSync(file, (await answer.json() as { readonly token: string }).token);
    return fixture.sidecar(['--service', service, '--control-plane', push, '--enrolment', enrolment, '--telemetry-interval', '1s', '--join-token-file', file, '--outbound', '0', ...flags]);
  }

  /** An app that answers with what it is told of its caller. */
  async function tellingApp(): Promise<number> {
    const server = createServer((request, response) => response.end(`caller ${String(request.headers['x-forwarded-client-cert'] ?? 'nobody')}`));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    close.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }

  const ask = (port: number | undefined): Promise<{ status: number; text: string }> => new Promise((resolve) => {
    get({ host: '127.0.0.1', port, headers: { host: 'orders' }, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    }).on('error', () => resolve({ status: 0, text: 'nothing' }));
  });

  interface Status {
    readonly ports: readonly { readonly mode: string; readonly mtls: number; readonly plaintext: number }[];
    readonly callers: readonly { readonly caller: string; readonly mtls: number }[];
    readonly plaintext: readonly { readonly address: string; readonly port: string }[];
  }
  const statusOf = async (api: string): Promise<Status> => await (await fetch(`${api}/v1/services/orders/mtls`)).json() as Status;

  const strict = (mode: string): string => `kind: Policy\nname: orders-mtls\ntarget: {service: orders}\nmtls: {mode: ${mode}}\n`;
  const write = (api: string, yaml: string, query = ''): Promise<Response> => fetch(`${api}/v1/apply${query}`, { method: 'POST', headers: { 'content-type': 'application/yaml' }, body: yaml });

  test('from nobody to everybody: announced with the certificate, counted, guarded, strict', async () => {
    const running = await controlPlane();
    await running.apply(`${twoServices}---\n{kind: Mesh, name: mesh, trustDomain: shop.example}\n`);
    const orders = await joined(running, 'orders', ['--app', `127.0.0.1:${await tellingApp()}`, '--inbound', '0', '--health-port', '0']);
    const web = await joined(running, 'web', []);
    await untilInSync(running.api, 2);
    const caller = /^caller By=spiffe:\/\/shop\.example\/service\/orders;Hash=[0-9a-f]{64};URI=spiffe:\/\/shop\.example\/service\/web$/;
    await until('web is known to orders', () => ask(web.ports['outbound']), ({ text }) => caller.test(text));
    expect(await ask(orders.ports['inbound'] ?? orders.ports['inbound/http'])).toEqual({ status: 200, text: 'caller nobody' });

    const status = await until('both ways are counted', () => statusOf(running.api), ({ ports, callers }) => (ports[0]?.plaintext ?? 0) > 0 && callers.some(({ mtls }) => mtls > 0));
    expect(status).toMatchObject({ ports: [{ mode: 'permissive' }], callers: [{ caller: 'service/web' }], plaintext: [{ address: '127.0.0.1', port: 'http' }] });

    const guarded = await write(running.api, strict('strict'));
    expect(guarded.status).toBe(409);
    expect(await guarded.text()).toMatch(/service\/orders with strict mTLS would refuse .*127\.0\.0\.1.* → http \(\d+ in 24 h\)/);
    expect((await write(running.api, strict('strict'), '?force=mtls&wait=applied&timeout=60s')).status).toBe(200);
    expect(await ask(orders.ports['inbound'] ?? orders.ports['inbound/http'])).toMatchObject({ status: 403 });
    expect((await ask(web.ports['outbound'])).text).toMatch(caller);
    expect((await fetch(`http://127.0.0.1:${orders.ports['health']}/healthz`)).status).toBe(200);

    // Announced no more: callers go over to plaintext, and back.
    expect(await (await write(running.api, strict('disabled'))).text()).toContain('removes-authentication');
    expect((await write(running.api, strict('disabled'), '?force=removes-authentication&wait=applied&timeout=60s')).status).toBe(200);
    await until('web comes in plaintext', () => ask(web.ports['outbound']), ({ text }) => text === 'caller nobody');
    const step = await write(running.api, strict('strict'));
    expect(await step.text()).toContain('make it permissive first');
    expect((await write(running.api, strict('permissive'), '?wait=applied&timeout=60s')).status).toBe(200);
    await until('web is known again', () => ask(web.ports['outbound']), ({ text }) => caller.test(text));
  }, 90_000);

  test('strict cannot be asked for where nobody has a certificate', async () => {
    const running = await fixture.controlPlane();
    await running.apply(twoServices);
    const answer = await write(running.api, strict('strict'));
    expect(answer.status).toBe(422);
    expect(await answer.json()).toMatchObject({ violations: [{ document: 'Policy/orders-mtls', pointer: '/mtls/mode', code: 'not-enforceable' }] });
    expect((await write(running.api, strict('permissive'))).status).toBe(200);
  }, 60_000);
});
