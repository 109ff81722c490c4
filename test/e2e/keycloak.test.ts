import http from 'node:http';
import { systemClock, systemTimers } from '@remora/core/clock';
import { systemRandom } from '@remora/core/random';
import type { JsonObject } from '@remora/core/canonical-json';
import { authenticationAuthoring } from '@remora/policy-authentication/compile';
import { corsAuthoring } from '@remora/policy-cors/compile';
import { jwtAuthoring } from '@remora/policy-jwt/compile';
import { jwtWire } from '@remora/policy-jwt/wire';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { oidcLoginAuthoring } from '@remora/policy-oidc-login/compile';
import { oidcLoginWire } from '@remora/policy-oidc-login/wire';
import { tokenIntrospectionAuthoring } from '@remora/policy-token-introspection/compile';
import { PolicyHelpers } from '@remora/sidecar/helpers/policy-helpers';
import { UndiciHelperClient } from '@remora/sidecar/helpers/undici-helper-client';
import { createLog } from '@remora/sidecar/telemetry/log';
import { GatewayRig } from '@remora/sidecar/testdata/gateway-rig';
import type { Snapshot } from '@remora/snapshot/snapshot';
import { effectiveSection } from '@remora/testing/effective-section';
import { describeWith } from '@remora/testing/requirement';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ScriptedBrowser } from '../processes/scripted-browser.ts';
import { clientSecret, Keycloak, userPassword } from '../processes/keycloak.ts';

/** A gateway with the control thread's helpers, in front of an app that shows what it got, and a real OpenID provider. */
describeWith('kc.sh', 'a gateway and Keycloak', (command) => {
  let keycloak: Keycloak;
  let app: http.Server;
  const closers: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    app = http.createServer((request, response) => response.end(JSON.stringify(request.headers))).listen(0, '127.0.0.1');
    keycloak = await Keycloak.start(command);
  }, 300_000);

  afterAll(async () => {
    for (const close of closers.reverse()) await close();
    await keycloak.stop();
    app.closeAllConnections();
    app.close();
  }, 60_000);

  async function gateway(sections: readonly (readonly [AuthoringKind, JsonObject])[], jwt: JsonObject | null = null, login: JsonObject | null = null): Promise<GatewayRig> {
    const address = app.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const kinds = sections.map(([{ name }]) => name).filter((name) => name !== 'cors');
    const rig = await GatewayRig.start({
      upstreams: [address.port],
      sections: [...sections, [authenticationAuthoring, {}] as const].map(([authoring, section]) => {
        const { minFormat, body } = authoring.compile(effectiveSection(authoring, section), kinds);
        return { kind: authoring.name, minFormat, body: Buffer.from(body) };
      }),
    });
    const helpers = new PolicyHelpers({
      dataPlane: rig.plane, client: new UndiciHelperClient(), keyDisk: { load: () => Promise.resolve({ keys: [], problem: '' }), write: () => Promise.resolve() },
      clock: systemClock, timers: systemTimers, random: systemRandom, log: createLog({ level: 'error', clock: systemClock, write: () => {} }), onEvent: () => {}, onWarming: () => {},
    });
    closers.push(() => rig.close(), () => helpers.close());
    const secrets = new Map([['introspection', Buffer.from(clientSecret)], ['session', Buffer.from('a session key of a test, long enough')]]);
    helpers.useSecrets(secrets);
    await rig.plane.useFacts({ kind: 'secret', full: true, facts: secrets });
    if (login !== null) {
      const settings = oidcLoginWire.decode(oidcLoginAuthoring.compile(effectiveSection(oidcLoginAuthoring, login)).body);
      await helpers.reach({ fleet: { redis: null }, settings: new Map([['1', { hash: '1', origins: [], sections: [{ kind: 'oidcLogin', settings }] }]]) } as unknown as Snapshot);
    }
    if (jwt !== null) {
      const settings = jwtWire.decode(jwtAuthoring.compile(effectiveSection(jwtAuthoring, jwt)).body);
      await helpers.reach({ fleet: { redis: null }, settings: new Map([['1', { hash: '1', origins: [], sections: [{ kind: 'jwt', settings }] }]]) } as unknown as Snapshot);
    }
    return rig;
  }

  async function get(rig: GatewayRig, token: string | null): Promise<{ readonly status: number; readonly reason: string | null; readonly headers: Headers; readonly seen: Readonly<Record<string, string>> }> {
    const response = await fetch(`http://127.0.0.1:${rig.port}/`, { headers: { origin: 'https://shop.example', ...(token !== null && { authorization: `Bearer ${token}` }) } });
    return { status: response.status, reason: response.headers.get('x-remora-reason'), headers: response.headers, seen: response.ok ? (await response.json()) as Record<string, string> : {} };
  }

  const cors = [corsAuthoring, { origins: ['https://shop.example'] }] as const;

  test('jwt: keys by discovery, tokens of client credentials, a key that is new since', async () => {
    const jwt = { issuers: { keycloak: { issuer: keycloak.issuer, audiences: ['orders'], allowPrivateAddresses: true } }, claimsToHeaders: { 'x-client': 'azp', 'x-roles': 'realm_access.roles' }, forwardToken: false };
    const rig = await gateway([cors, [jwtAuthoring, jwt]], jwt);
    const token = await keycloak.machineToken();
    const passed = await get(rig, token);
    expect(passed.status).toBe(200);
    expect(passed.seen).toMatchObject({ 'x-client': 'batch' });
    expect(passed.seen['x-roles']).toContain('default-roles-shop');
    expect(passed.seen['authorization']).toBeUndefined();

    const without = await get(rig, null);
    expect([without.status, without.reason, without.headers.get('www-authenticate'), without.headers.get('access-control-allow-origin')]).toEqual([401, 'authentication-required', 'Bearer', 'https://shop.example']);
    const broken = await get(rig, `${token.slice(0, -8)}AAAAAAAA`);
    expect([broken.status, broken.reason, broken.headers.get('access-control-allow-origin')]).toEqual([401, 'jwt-signature', 'https://shop.example']);

    await keycloak.rotateKey();
    const signedAnew = await keycloak.machineToken();
    expect(JSON.parse(Buffer.from(signedAnew.split('.')[0] ?? '', 'base64url').toString())).not.toEqual(JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()));
    // Newer keys are asked for at most every ten seconds.
    await expect.poll(async () => (await get(rig, signedAnew)).status, { timeout: 60_000, interval: 500 }).toBe(200);
    expect((await get(rig, token)).status).toBe(200);
  }, 120_000);

  test('jwt: tokens for somebody else are refused', async () => {
    const jwt = { issuers: { keycloak: { issuer: keycloak.issuer, audiences: ['payments'], allowPrivateAddresses: true } } };
    const refused = await get(await gateway([cors, [jwtAuthoring, jwt]], jwt), await keycloak.machineToken());
    expect([refused.status, refused.reason]).toEqual([401, 'jwt-audience']);
  });

  test('tokenIntrospection: an active token, and one that was revoked', async () => {
    const section = { endpoint: keycloak.introspection, allowPrivateAddresses: true, clientId: 'gateway', clientSecret: { secret: 'introspection' }, audiences: ['orders'], claimsToHeaders: { 'x-client': 'client_id' }, cacheFor: '0s', rejectedFor: '0s' };
    const rig = await gateway([cors, [tokenIntrospectionAuthoring, section]]);
    const token = await keycloak.machineToken();
    expect(await get(rig, token)).toMatchObject({ status: 200, seen: { 'x-client': 'batch' } });
    await keycloak.revoke(token);
    const refused = await get(rig, token);
    expect([refused.status, refused.reason, refused.headers.get('access-control-allow-origin')]).toEqual([401, 'introspection-inactive', 'https://shop.example']);
    expect((await get(rig, 'nobody-knows-it')).reason).toBe('introspection-inactive');
  }, 60_000);

  test('tokenIntrospection: with a wrong secret nobody is let in', async () => {
    const section = { endpoint: keycloak.introspection, allowPrivateAddresses: true, clientId: 'nobody', clientSecret: { secret: 'introspection' } };
    expect((await get(await gateway([[tokenIntrospectionAuthoring, section]]), await keycloak.machineToken())).reason).toBe('introspection-unavailable');
  });

  test('oidcLogin: a browser logs in, is known, is refreshed, and logs out', async () => {
    const login = {
      issuer: keycloak.issuer, allowPrivateAddresses: true, clientId: 'shop-web', clientSecret: { secret: 'introspection' }, sessionKey: { secret: 'session' }, scopes: ['openid', 'email'],
    };
    const rig = await gateway([[oidcLoginAuthoring, login]], null, login);
    const browser = new ScriptedBrowser(rig.port);
    const page = await browser.open(`https://127.0.0.1:${rig.port}/orders?page=2`);
    expect(page.url).toMatch(new RegExp(`^${keycloak.issuer}/protocol/openid-connect/auth`));
    const arrived = await browser.submit(page, { username: 'anna', password: userPassword });
    expect([arrived.status, arrived.url]).toEqual([200, `https://127.0.0.1:${rig.port}/orders?page=2`]);
    const seen = JSON.parse(arrived.text) as Record<string, string>;
    expect(seen['cookie'] ?? '').not.toContain('__Host-remora');

    const first = browser.cookie('__Host-remora');
    expect(first).toMatch(/^[\w-]{100,}$/);
    // Tokens hold for four seconds here: newer ones come with a request before that is over, and the session is another cookie then.
    await expect.poll(async () => {
      const { status } = await browser.open(`https://127.0.0.1:${rig.port}/`);
      return [status, browser.cookie('__Host-remora') !== first];
    }, { timeout: 30_000, interval: 300 }).toEqual([200, true]);

    const program = await fetch(`http://127.0.0.1:${rig.port}/`, { headers: { accept: 'application/json' }, redirect: 'manual' });
    expect([program.status, program.headers.get('x-remora-reason')]).toEqual([401, 'authentication-required']);

    const out = await browser.open(`https://127.0.0.1:${rig.port}/.remora/logout`);
    expect(out.url).toMatch(new RegExp(`^${keycloak.issuer}/protocol/openid-connect/logout`));
    expect(browser.cookie('__Host-remora')).toBeNull();
  }, 120_000);
});
