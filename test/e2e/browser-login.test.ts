import { randomBytes } from 'node:crypto';
import { freePort } from '@remora/testing/free-port';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ObligingIssuer } from '../processes/obliging-issuer.ts';
import { ScriptedBrowser } from '../processes/scripted-browser.ts';
import { ask, type Answer } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture } from './fixture.ts';

let fixture = new Fixture();
let issuer: ObligingIssuer;
let port = 0;
beforeEach(async () => {
  fixture = new Fixture();
  issuer = await ObligingIssuer.start({ firstTokensSeconds: 12 });
  const app = await fixture.app('orders');
  port = await freePort();
  const controlPlane = await fixture.controlPlane({ bundled: false, env: { REMORA_CP_ENCRYPTION_KEY: randomBytes(32).toString('base64') } });
  for (const [name, value] of [['client', 'password of a client'], ['sessions', randomBytes(32).toString('base64')]] as const) {
    const answer = await fetch(`${controlPlane.api}/v1/secrets/${name}`, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ value }) });
    expect(answer.ok).toBe(true);
  }
  await controlPlane.apply(`
{kind: Gateway, name: edge, listeners: {plain: {port: ${port}}}}
---
{kind: Service, name: orders, ports: {http: {port: 80}}, endpoints: [{address: 127.0.0.1, port: ${app.port}}]}
---
{kind: Route, name: all, gateway: edge, to: [{service: orders}]}
---
{kind: Policy, name: login, target: {gateway: edge}, oidcLogin: {issuer: "${issuer.issuer.issuer}", allowPrivateAddresses: true, clientId: shop, clientSecret: {secret: client}, sessionKey: {secret: sessions}}}
`);
  await fixture.sidecar(['--gateway', 'edge', '--control-plane', controlPlane.push, '--workers', '2'], { bundled: false });
  await until('the gateway wants a login, in every data thread', () => Promise.all(Array.from({ length: 16 }, () => get('/', ''))), (answers) => answers.every(({ status }) => status === 302));
}, 60_000);
afterEach(async () => {
  await fixture.end();
  await issuer.stop();
});

/** On a connection of its own, so that any data thread gets it. */
function get(path: string, cookie: string, accept = 'text/html'): Promise<Answer> {
  return ask({ port, path, headers: { accept, connection: 'close', ...(cookie !== '' && { cookie }) } });
}

const cookiesOf = ({ headers }: Answer): string => [headers['set-cookie'] ?? []].flat().map((line) => line.split(';')[0] ?? '').join('; ');
const outcome = ({ status, headers }: Answer): string => `${status} ${String(headers['x-remora-reason'] ?? '')}`.trim();

/** Up to the callback, which is not called. */
async function begin(path: string): Promise<{ readonly callback: string; readonly cookie: string }> {
  const begun = await get(path, '');
  const back = await fetch(String(begun.headers.location), { redirect: 'manual' });
  const { pathname, search } = new URL(back.headers.get('location') ?? '');
  return { callback: pathname + search, cookie: cookiesOf(begun) };
}

test('a callback is taken once, whichever data thread gets it, at once or later', async () => {
  const { callback, cookie } = await begin('/orders?page=2');
  const all = await Promise.all(Array.from({ length: 12 }, () => get(callback, cookie)));
  expect(all.map(outcome).sort((a, b) => a.localeCompare(b))).toEqual(['302', ...Array.from({ length: 11 }, () => '400 oidc-state')]);
  expect(all.find(({ status }) => status === 302)?.headers.location).toBe('/orders?page=2');
  for (let i = 0; i < 6; i++) expect(outcome(await get(callback, cookie))).toBe('400 oidc-state');
  expect(issuer.exchanged).toBe(1);
}, 60_000);

test('logins in several tabs at once all end; the session is good in every data thread, and refreshed once', async () => {
  const browser = new ScriptedBrowser(port);
  const tabs = await Promise.all(['/a', '/b', '/c'].map((path) => browser.open(`https://127.0.0.1:${port}${path}`)));
  expect(tabs.map(({ status, url }) => `${status} ${new URL(url).pathname}`)).toEqual(['200 /a', '200 /b', '200 /c']);
  const cookie = `__Host-remora=${browser.cookie('__Host-remora') ?? ''}`;
  const before = issuer.refreshed;
  // The tokens of a login hold for twelve seconds here: the first requests towards the end of them ask for newer ones, all with the same cookie.
  await until('a refresh', () => get('/', cookie), (answer) => answer.status === 200 && answer.headers['set-cookie'] !== undefined);
  const later = await Promise.all(Array.from({ length: 12 }, () => get('/', cookie)));
  expect(later.map(outcome)).toEqual(later.map(() => '200'));
  expect(later.every(({ headers }) => headers['cache-control'] === 'no-store')).toBe(true);
  expect(issuer.refreshed - before).toBe(1);
}, 60_000);

test('programs get 401, whatever their cookies; a logout ends the session of this browser', async () => {
  const program = await get('/', '__Host-remora=forged', 'application/json');
  expect([outcome(program), program.headers['www-authenticate'], program.headers['set-cookie']]).toEqual(['401 authentication-required', 'Cookie cookie-name="__Host-remora"', undefined]);
  const browser = new ScriptedBrowser(port);
  expect((await browser.open(`https://127.0.0.1:${port}/`)).status).toBe(200);
  issuer.stops = true;
  await browser.open(`https://127.0.0.1:${port}/.remora/logout`);
  expect(browser.cookie('__Host-remora')).toBeNull();
  expect((await browser.open(`https://127.0.0.1:${port}/`)).url).toContain(issuer.issuer.issuer);
}, 60_000);
