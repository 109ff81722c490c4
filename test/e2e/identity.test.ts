import { randomBytes } from 'node:crypto';
import { get } from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { stop } from '../processes/child.ts';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { Fixture, sidecarsOf, statusOf, twoServices, untilInSync } from './fixture.ts';

/** Real processes that know each other by certificates only: join, kill, start again, and what a stranger gets. */
describe('identity', () => {
  let fixture: Fixture;
  let secrets: string;
  beforeEach(() => {
    fixture = new Fixture();
    secrets = mkdtempSync(path.join(tmpdir(), 'remora-e2e-identity-'));
    writeFileSync(path.join(secrets, 'key'), randomBytes(32).toString('base64'), { mode: 0o600 });
  });
  afterEach(async () => {
    await fixture.end();
    rmSync(secrets, { recursive: true });
  });

  const controlPlane = (enrolmentPort = '0', again: { readonly folder?: string; readonly pushPort?: number } = {}): Promise<RunningControlPlane> =>
    fixture.controlPlane({ ...again, flags: ['--identity', 'mtls', '--enrolment-port', enrolmentPort, '--encryption-key-file', path.join(secrets, 'key')] });

  /** A file with a token for one instance. */
  async function tokenFile({ api }: RunningControlPlane, service: string): Promise<string> {
    const answer = await fetch(`${api}/v1/identity/tokens`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ service }) });
    const { token } = await answer.json() as { readonly token: string };
    const file = path.join(secrets, `${service}.token`);
    writeFileSync(file, token);
    return file;
  }

  const sidecar = ({ push, enrolment }: RunningControlPlane, service: string, flags: readonly string[], folder?: string): Promise<RunningSidecar> =>
    fixture.sidecar(['--service', service, '--control-plane', push, '--enrolment', enrolment, '--outbound', '0', ...flags], folder === undefined ? {} : { folder });

  /** What `orders` answers to the app beside `caller`. */
  const answer = (caller: RunningSidecar): Promise<string> => new Promise((resolve) => {
    get({ host: '127.0.0.1', port: caller.ports['outbound'], headers: { host: 'orders' }, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => resolve(text));
    }).on('error', () => resolve('nothing'));
  });

  test('a fleet joins by tokens, goes on through a killed control plane, and comes back from its disks', async () => {
    const app = await fixture.app('orders');
    const first = await controlPlane();
    await first.apply(`${twoServices}---\n{kind: Mesh, name: mesh, trustDomain: shop.example}\n`);
    const orders = await sidecar(first, 'orders', ['--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--join-token-file', await tokenFile(first, 'orders')]);
    const web = await sidecar(first, 'web', ['--join-token-file', await tokenFile(first, 'web')]);
    await untilInSync(first.api, 2);
    expect(await sidecarsOf(first.api)).toMatchObject([{ authenticated: true }, { authenticated: true }]);
    await until('orders answers', async () => answer(web), (text) => text === 'orders');
    expect(statSync(path.join(orders.folder, 'identity.json')).mode & 0o777).toBe(0o600);

    expect(await statusOf(orders)).toMatchObject({ certificates: [{ resource: 'identity', names: ['spiffe://shop.example/service/orders'], problem: null }] });

    first.process.kill('SIGKILL');
    await once(first.process, 'exit');
    expect(await answer(web)).toBe('orders');
    const [, enrolmentPort = ''] = first.enrolment.split(':');
    const second = await controlPlane(enrolmentPort, { folder: first.folder, pushPort: Number(first.push.split(':')[1]) });
    await untilInSync(second.api, 2);

    // Its token is used up, and not needed.
    await stop(web.process);
    const again = await sidecar(second, 'web', ['--identity', 'mtls'], web.folder);
    await untilInSync(second.api, 2);
    await until('orders answers', async () => answer(again), (text) => text === 'orders');
    expect((await (await fetch(`${second.api}/v1/identity/certificates`)).json() as { readonly items: readonly object[] }).items).toMatchObject([{ how: 'join', subject: 'service/orders' }, { how: 'join', subject: 'service/web' }]);
    const database = readFileSync(path.join(second.folder, 'control-plane.db'));
    for (const file of ['orders.token', 'web.token']) expect(database.includes(readFileSync(path.join(secrets, file), 'utf8').split('.')[2] ?? '')).toBe(false);
  }, 90_000);

  test('who has no certificate, or that of another service, is not in the fleet', async () => {
    const running = await controlPlane();
    await running.apply(twoServices);
    const token = await tokenFile(running, 'orders');
    const orders = await sidecar(running, 'orders', ['--join-token-file', token]);
    await untilInSync(running.api, 1);
    await stop(orders.process);
    // The stolen folder of another service, a used token, nothing at all, and a push port reached without TLS.
    await sidecar(running, 'web', ['--identity', 'mtls'], orders.folder);
    await sidecar(running, 'web', ['--join-token-file', token]);
    await sidecar(running, 'web', ['--identity', 'mtls']);
    await fixture.sidecar(['--service', 'web', '--control-plane', running.push, '--outbound', '0']);
    const refused = async (): Promise<string> => (await fetch(`${running.api}/metrics`)).text();
    await until('the used token is refused', refused, (text) => /^remora_identity_refused_total\{reason="other-subject"\} [1-9]/m.test(text));
    const known = await sidecarsOf(running.api);
    expect(known).toMatchObject([{ subject: 'service/orders', connected: false }]);
  }, 60_000);
});
