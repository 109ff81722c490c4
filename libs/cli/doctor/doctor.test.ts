import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describe, expect, test } from 'vitest';
import { runAtMs, runScripted } from '../cli-fixture.ts';
import { findBypasses } from './bypass.ts';
import { examine } from './examine.ts';
import { dialTcp, ownAddresses } from './host-facts.ts';
import type { SidecarAnswer } from './sidecar-answer.ts';

const hourMs = 3_600_000;
const at = (ms: number): string => new Date(runAtMs + ms).toISOString();

const identity = {
  spiffeId: 'spiffe://shop.example/service/orders', from: at(-10 * hourMs), ends: at(62 * hourMs), renewal: at(24 * hourMs), issuerRoot: 'a', roots: [{ digest: 'a', ends: at(3_650 * 24 * hourMs) }], problem: '', persisted: true,
};
const well: SidecarAnswer = {
  nodeId: 'orders-1', ready: true, why: 'ready', appReady: true, controlPlane: { connected: true, address: 'cp:8601', lastEnd: '', rejected: null, clockOffsetMs: 12 }, staleSince: null,
  config: { version: '1.7', persisted: true }, state: { persisted: true }, identity, apps: { '': { host: '127.0.0.1', port: 8080 } }, listeners: [], diskAlarm: null, diskEncrypted: true, lastRefusal: null,
};

function judged(sidecar: SidecarAnswer): Record<string, string> {
  return Object.fromEntries(examine(sidecar, runAtMs).map(({ check, state, found }) => [check, `${state}: ${found}`]));
}

describe('what a sidecar says of itself', () => {
  test('is well where all is well', () => {
    expect(judged(well)).toEqual({
      clock: 'ok: as the control plane\'s, within a second', token: 'ok: not needed: there is a certificate', certificate: 'ok: spiffe://shop.example/service/orders, good for 2 d more',
      'trust bundle': 'ok: one root, the first to end in 3650 d', 'push stream': 'ok: in contact with cp:8601', snapshot: 'ok: enforces 1.7', app: 'ok: accepts connections: 127.0.0.1:8080', disk: 'ok: holds what is enforced, encrypted',
    });
  });

  const link = well.controlPlane;
  const wrong: readonly [string, Partial<SidecarAnswer>, string, string][] = [
    ['an hour behind', { controlPlane: { ...link, clockOffsetMs: hourMs } }, 'clock', 'fail: 1 h behind the control plane\'s'],
    ['an hour before', { controlPlane: { ...link, clockOffsetMs: -hourMs } }, 'clock', 'fail: 1 h before'],
    ['a minute off', { controlPlane: { ...link, clockOffsetMs: 60_000 } }, 'clock', 'warn: 1 min behind'],
    ['never heard', { controlPlane: { ...link, clockOffsetMs: null } }, 'clock', 'skip'],
    ['a token that expired', { identity: { ...identity, ends: null, from: null, problem: 'token-expired: the join token expired' } }, 'token', 'fail: token-expired'],
    ['no certificate', { identity: { ...identity, ends: null, from: null, problem: 'x' } }, 'certificate', 'fail: x'],
    ['a certificate that ended', { identity: { ...identity, ends: at(-hourMs), problem: 'unreachable' } }, 'certificate', 'fail: of orders-1 ended 1 h ago: unreachable'],
    ['a certificate of tomorrow', { identity: { ...identity, from: at(hourMs) } }, 'certificate', 'fail: of orders-1 is not good before'],
    ['a certificate that cannot be renewed', { identity: { ...identity, problem: 'certificate-revoked: x' } }, 'certificate', 'warn: spiffe://shop.example/service/orders, good for 2 d more; it cannot be renewed: certificate-revoked'],
    ['a renewal that is overdue', { identity: { ...identity, renewal: at(-2 * hourMs) } }, 'certificate', 'warn: spiffe://shop.example/service/orders, good for 2 d more; its renewal is overdue'],
    ['a certificate that is not on the disk', { identity: { ...identity, persisted: false } }, 'certificate', 'warn'],
    ['no root', { identity: { ...identity, roots: [] } }, 'trust bundle', 'fail: no root is known'],
    ['an own root that was retired', { identity: { ...identity, issuerRoot: 'gone' } }, 'trust bundle', 'fail: the root of the own certificate'],
    ['roots that ended', { identity: { ...identity, roots: [{ digest: 'a', ends: at(-1) }] } }, 'trust bundle', 'fail: every root has ended'],
    ['a root that ends soon', { identity: { ...identity, roots: [{ digest: 'a', ends: at(24 * hourMs) }] } }, 'trust bundle', 'warn: one root'],
    ['a roll', { identity: { ...identity, roots: [...identity.roots, { digest: 'b', ends: at(9_000 * hourMs) }] } }, 'trust bundle', 'ok: 2 roots (the authority rolls)'],
    ['no contact', { controlPlane: { ...link, connected: false, lastEnd: 'ECONNREFUSED' }, staleSince: at(-hourMs) }, 'push stream', 'fail: no contact with cp:8601 since 2026-11-22T11:00:00.000Z: ECONNREFUSED'],
    ['a refusal at the push port', { controlPlane: { ...link, connected: false, rejected: { code: 'certificate-revoked', message: 'm' } } }, 'push stream', 'fail: cp:8601 refuses this sidecar: certificate-revoked: m'],
    ['nothing to enforce', { config: null }, 'snapshot', 'fail: nothing is enforced yet'],
    ['a snapshot that was refused', { lastRefusal: { class: 'invalid', errors: [{ resource: 'r', message: 'm' }] } }, 'snapshot', 'warn: enforces 1.7; a newer one was refused: r: m'],
    ['an app that is away', { appReady: false }, 'app', 'fail: does not accept connections: 127.0.0.1:8080'],
    ['a disk that is full', { diskAlarm: 'ENOSPC' }, 'disk', 'fail: ENOSPC'],
    ['a disk that is late', { config: { version: '1.7', persisted: false } }, 'disk', 'warn'],
    ['no identity', { identity: null }, 'certificate', 'skip: identity is off'],
  ];
  test.each(wrong)('%s', (_name, change, check, finding) => {
    expect(judged({ ...well, ...change })[check]).toContain(finding);
  });
});

describe('around the sidecar', () => {
  const dialing = (...open: readonly string[]) => ({ host }: { readonly host: string }): Promise<boolean> => Promise.resolve(open.includes(host));
  const cases: readonly [string, Partial<SidecarAnswer>, readonly string[], readonly string[], string][] = [
    ['closed everywhere', {}, ['10.0.0.5', 'fe80::1%eth0'], [], 'ok: port 8080 is closed at all 2 addresses that others could use'],
    ['open at one address', {}, ['10.0.0.5', '10.0.0.6'], ['10.0.0.6'], 'fail: the app answers at 10.0.0.6:8080 without its sidecar'],
    ['the sidecar itself has that port there', { listeners: [{ name: 'inbound/http', host: '10.0.0.5', port: 8080 }] }, ['10.0.0.5'], ['10.0.0.5'], 'ok: the sidecar itself listens on port 8080'],
    ['the sidecar has that port at another address', { listeners: [{ name: 'inbound/http', host: '10.0.0.6', port: 8080 }] }, ['10.0.0.5', '10.0.0.6'], ['10.0.0.5', '10.0.0.6'], 'fail: the app answers at 10.0.0.5:8080'],
    ['a host without a network', {}, [], [], 'ok: this host has no address but loopback'],
    ['an app of another host', { apps: { '': { host: '10.9.9.9', port: 80 } } }, ['10.0.0.5'], [], 'warn: the app is at 10.9.9.9:80'],
    ['a gateway', { apps: {} }, ['10.0.0.5'], ['10.0.0.5'], 'skip: there is no app'],
  ];
  test.each(cases)('%s', async (_name, change, addresses, open, finding) => {
    const [found] = await findBypasses({ ...well, ...change }, addresses, dialing(...open));
    expect(`${found?.state}: ${found?.found}`).toContain(finding);
  });

  test('on this host: an app on all addresses is found, one on loopback is not', async () => {
    const addresses = ownAddresses();
    const external = Object.values(networkInterfaces()).flat().filter((each) => each?.internal === false);
    expect(addresses.length).toBe(new Set(external.map((each) => `${each?.address}`)).size);
    for (const [host, state] of [['0.0.0.0', external.some((each) => each?.family === 'IPv4') ? 'fail' : 'ok'], ['127.0.0.1', 'ok']] as const) {
      const server = createServer((socket) => socket.destroy());
      const port = await new Promise<number>((resolve) => { server.listen(0, host, () => resolve((server.address() as AddressInfo).port)); });
      const [found] = await findBypasses({ ...well, apps: { '': { host: '127.0.0.1', port } } }, addresses.filter((each) => !each.includes(':')), dialTcp);
      expect(found?.state, host).toBe(state);
      await new Promise((resolve) => { server.close(resolve); });
    }
  });
});

describe('remora doctor', () => {
  async function against(body: string, ...args: readonly string[]): Promise<Awaited<ReturnType<typeof runScripted>>> {
    const server = createHttpServer((_request, response) => response.end(body));
    const port = await new Promise<number>((resolve) => { server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)); });
    try {
      return await runScripted(['doctor', '--admin', `127.0.0.1:${port}`, ...args]);
    } finally {
      await new Promise((resolve) => { server.close(resolve); });
    }
  }

  test('says line by line what it found, and what helps', async () => {
    const gateway = { ...well, apps: {}, controlPlane: { ...well.controlPlane, connected: false, lastEnd: 'ECONNREFUSED' } };
    const { exitCode, out } = await against(JSON.stringify(gateway));
    expect(exitCode).toBe(1);
    expect(out).toContain('FAIL  push stream   no contact with cp:8601: ECONNREFUSED\n                    → is the control plane running');
    expect(out).toContain('ok    certificate');
    const json = JSON.parse((await against(JSON.stringify(gateway), '-o', 'json')).out) as { healthy: boolean; findings: { check: string }[] };
    expect(json.healthy).toBe(false);
    expect(json.findings.map(({ check }) => check)).toEqual(['sidecar', 'clock', 'token', 'certificate', 'trust bundle', 'push stream', 'snapshot', 'app', 'disk', 'bypass']);
    expect((await against(JSON.stringify({ ...well, apps: {} }))).exitCode).toBe(0);
  });

  test.each([['no JSON', 'x'], ['something else', '{"a":1}'], ['nothing', 'null']])('%s is no sidecar', async (_name, body) => {
    expect((await against(body)).exitCode).toBe(3);
  });

  test('nobody there', async () => {
    expect(await runScripted(['doctor', '--admin', '127.0.0.1:1'])).toMatchObject({ exitCode: 3, out: expect.stringContaining('none answers at 127.0.0.1:1') });
    expect((await runScripted(['doctor', '--admin', 'nonsense'])).exitCode).toBe(2);
  });
});
