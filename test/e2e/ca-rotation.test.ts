import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { Fixture, sidecarsOf, statusOf, twoServices, untilInSync } from './fixture.ts';

interface Rotation {
  readonly stage: string;
  readonly total: number;
  readonly holdBundle: number;
  readonly ofSigner: number;
  readonly signs: string;
}

/** Real processes under traffic while the authority rolls from one root to the next, and when one of them is revoked. */
describe('the authority of a running mesh', () => {
  let fixture: Fixture;
  let secrets: string;
  let close: (() => void)[];
  beforeEach(() => {
    fixture = new Fixture();
    close = [];
    secrets = mkdtempSync(path.join(tmpdir(), 'remora-e2e-rotation-'));
    writeFileSync(path.join(secrets, 'key'), randomBytes(32).toString('base64'), { mode: 0o600 });
  });
  afterEach(async () => {
    for (const one of close) one();
    await fixture.end();
    rmSync(secrets, { recursive: true });
  });

  async function call<T>(api: string, method: string, where: string, body?: object): Promise<T> {
    const answer = await fetch(`${api}${where}`, { method, headers: { 'content-type': 'application/json' }, ...(body && { body: JSON.stringify(body) }) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${where} answered ${answer.status}: ${text}`);
    return JSON.parse(text) as T;
  }

  async function joined({ api, push, enrolment }: RunningControlPlane, service: string, flags: readonly string[]): Promise<RunningSidecar> {
    const { token } = await call<{ token: string }>(api, 'POST', '/v1/identity/tokens', { service });
    const file = path.join(secrets, `${service}.token`);
    writeFileSync(file, token);
    return fixture.sidecar(['--service', service, '--control-plane', push, '--enrolment', enrolment, '--join-token-file', file, '--outbound', '0', ...flags], { bundled: false });
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

  const ask = (port: number | undefined, agent: Agent | false = false, onNewSocket = (): void => {}): Promise<string> => new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, headers: { host: 'orders' }, agent }, (response) => {
      let text = '';
      if (!request.reusedSocket) onNewSocket();
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => resolve(`${response.statusCode} ${text}`));
    });
    request.on('error', (error) => resolve(`error ${error.message}`));
  });

  test('rolls stage by stage: no request fails, no connection of an app is cut; a revoked instance is out at once', async () => {
    const controlPlane = await fixture.controlPlane({ bundled: false, flags: ['--identity', 'mtls', '--enrolment-port', '0', '--encryption-key-file', path.join(secrets, 'key')] });
    const { api } = controlPlane;
    await controlPlane.apply(twoServices);
    const app = await tellingApp();
    const orders = await joined(controlPlane, 'orders', ['--app', `127.0.0.1:${app}`, '--inbound', '0']);
    const web = await joined(controlPlane, 'web', []);
    await untilInSync(api, 2);
    await until('mTLS between them', () => ask(web.ports['outbound']), (text) => text.startsWith('200') && text.includes('spiffe://'));

    // Requests one after the other, on kept connections and on new ones, until told to end.
    const kept = new Agent({ keepAlive: true, maxSockets: 2 });
    close.push(() => kept.destroy());
    const answers = { good: 0, bad: [] as string[], newSockets: 0 };
    let running = true;
    const loop = async (agent: Agent | false): Promise<void> => {
      while (running) {
        const text = await ask(web.ports['outbound'], agent, () => void (answers.newSockets += agent === kept ? 1 : 0));
        if (text.startsWith('200') && text.includes('spiffe://')) answers.good++;
        else answers.bad.push(text);
      }
    };
    const loops = [loop(kept), loop(false)];
    try {
      const rotation = (): Promise<Rotation> => call(api, 'GET', '/v1/identity/ca/rotation');
      const move = (body: object): Promise<Rotation> => call(api, 'POST', '/v1/identity/ca/rotation', body);
      const before = await rotation();
      expect(await move({ action: 'start', window: '2s' })).toMatchObject({ stage: 'add', total: 2 });
      await until('both hold the new root', rotation, ({ holdBundle }) => holdBundle === 2);
      expect(await move({ action: 'next' })).toMatchObject({ stage: 'sign' });
      const signed = await until('both have new certificates', rotation, ({ holdBundle, ofSigner }) => holdBundle === 2 && ofSigner === 2, 40_000);
      expect(signed.signs).not.toBe(before.signs);
      expect(await move({ action: 'next' })).toMatchObject({ stage: 'none', total: 2, ofSigner: 2 });
      await until('the old root is gone everywhere', rotation, ({ holdBundle }) => holdBundle === 2);
      for (const sidecar of [orders, web]) {
        await until('it holds the one root', () => statusOf(sidecar), (status) => {
          const { issuerRoot, roots, problem } = status['identity'] as { issuerRoot: string; roots: readonly object[]; problem: string };
          return issuerRoot === signed.signs && roots.length === 1 && problem === '';
        });
      }
      const after = answers.good;
      await until('requests go on', () => Promise.resolve(answers.good), (good) => good > after + 20);
    } finally {
      running = false;
      await Promise.all(loops);
    }
    expect(answers.bad.slice(0, 3)).toEqual([]);
    expect(answers.newSockets).toBe(1);

    const [node] = (await sidecarsOf(api)).filter(({ subject }) => subject === 'service/web');
    await call(api, 'POST', '/v1/identity/revocations', { nodeId: node?.nodeId, reason: 'a test' });
    await until('it is not connected any more', () => sidecarsOf(api), (items) => items.some(({ subject, connected }) => subject === 'service/web' && !connected));
    await until('orders refuses it', () => ask(web.ports['outbound'], kept), (text) => !text.startsWith('200'));
    await until('it says why', () => statusOf(web), (status) => JSON.stringify(status['controlPlane']).includes('certificate-revoked'));
  }, 120_000);
});
