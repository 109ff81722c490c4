import type { JsonObject } from '@remora/core/canonical-json';
import { systemClock } from '@remora/core/clock';
import { authenticationAuthoring } from '@remora/policy-authentication/compile';
import { authorizationAuthoring } from '@remora/policy-authorization/compile';
import { externalAuthAuthoring } from '@remora/policy-external-auth/compile';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { effectiveSection } from '@remora/testing/effective-section';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ExchangeClient, type TestProtocol } from '../testdata/exchange-client.ts';
import { ExchangeServer, type Handle } from '../testdata/exchange-server.ts';
import { GatewayRig } from '../testdata/gateway-rig.ts';
import { ExternalAuthCaller } from './external-auth-caller.ts';
import { UndiciHelperClient } from './undici-helper-client.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function section(authoring: AuthoringKind, values: JsonObject, inEffect: readonly string[] = []): object {
  const { minFormat, body } = authoring.compile(effectiveSection(authoring, values), inEffect);
  return { kind: authoring.name, minFormat, body: Buffer.from(body), origins: [] };
}

/** A gateway that asks an authorizer over HTTP, in front of an app that tells the headers it got. */
async function start(authorizer: Handle, protocol: TestProtocol, own: { readonly externalAuth?: JsonObject; readonly authentication?: JsonObject; readonly authorization?: JsonObject } = {}): Promise<{ client: ExchangeClient; app: ExchangeServer; rig: GatewayRig }> {
  const app = await ExchangeServer.start('http1', (request, response) => void (response as import('node:http').ServerResponse).end(JSON.stringify(request.headers)));
  const auth = await ExchangeServer.start('http1', authorizer);
  const rig = await GatewayRig.start({
    upstreams: [app.port],
    sections: [
      section(externalAuthAuthoring, { http: { url: `http://127.0.0.1:${auth.port}/check` }, allowPrivateAddresses: true, headersToUpstream: ['x-user'], deadline: '2s', ...own.externalAuth }),
      section(authenticationAuthoring, own.authentication ?? { enabled: true }, ['externalAuth']),
      ...(own.authorization === undefined ? [] : [section(authorizationAuthoring, own.authorization)]),
    ],
  });
  const helper = new UndiciHelperClient();
  const caller = new ExternalAuthCaller({ client: helper, clock: systemClock });
  rig.plane.onQuestion((_topic, body) => caller.answer(body));
  const client = new ExchangeClient(protocol, rig.port);
  closers.push(() => app.close(), () => auth.close(), () => rig.close(), () => helper.close(), () => caller.close(), () => client.close());
  return { client, app, rig };
}

const byToken: Handle = (request, response) => {
  const plain = response as import('node:http').ServerResponse;
  if (request.headers.authorization === 'Bearer good') plain.writeHead(200, { 'x-user': 'alice' }).end();
  else plain.writeHead(401, { 'www-authenticate': 'Bearer realm="shop"', 'content-type': 'text/plain' }).end('who are you?');
};

describe.each<TestProtocol>(['http1', 'http2'])('an authorizer over HTTP, clients over %s', (protocol) => {
  test('lets in, and what it says of the client goes to the app alone', async () => {
    const { client } = await start(byToken, protocol);
    const { status, text } = await client.fetch({ path: '/orders', headers: { authorization: 'Bearer good', 'x-user': 'root', x_user: 'root', 'x.user': 'root' } });
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({ 'x-user': 'alice' });
    expect(text).not.toContain('root');
  });

  test('refuses with what the authorizer answers, and the app sees nothing', async () => {
    const { client, app } = await start(byToken, protocol);
    expect(await client.fetch({ path: '/orders', headers: { authorization: 'Bearer bad' } })).toMatchObject({ status: 401, text: 'who are you?', headers: { 'www-authenticate': 'Bearer realm="shop"' } });
    expect(app.requests).toBe(0);
  });

  test('refuses where nobody answers, with its own reason', async () => {
    const { client, app, rig } = await start(() => {}, protocol, { externalAuth: { deadline: '30ms' } });
    expect((await client.fetch({ path: '/orders' })).status).toBe(503);
    await vi.waitFor(() => expect(rig.refusals).toMatchObject([{ reason: 'external-auth-failed', pointer: '/onFailure', kind: 'externalAuth' }]));
    expect(app.requests).toBe(0);
  });

  test('exempt paths pass whatever it says', async () => {
    const { client } = await start(byToken, protocol, { authentication: { exempt: { health: { paths: ['/health'] } } } });
    expect((await client.fetch({ path: '/health' })).status).toBe(200);
    expect((await client.fetch({ path: '/healthy' })).status).toBe(401);
  });

  test('a client that leaves while it is asked leaves nothing behind', async () => {
    const asked = Promise.withResolvers<void>();
    const { client, app, rig } = await start(() => asked.resolve(), protocol);
    const exchange = client.send({ path: '/orders', body: null });
    exchange.head.catch(() => {});
    await asked.promise;
    exchange.cancel();
    client.close();
    await rig.untilNothingIsLeft();
    expect(app.requests).toBe(0);
  });
});

test('Connection cannot strip what the authorizer says, and rules come after it', async () => {
  const { client } = await start(byToken, 'http1', { authorization: { rules: { admin: { action: 'deny', paths: ['/admin/*'] } } } });
  const { status, text } = await client.fetch({ path: '/orders', headers: { authorization: 'Bearer good', connection: 'x-user, authorization, host, keep-alive' } });
  expect([status, (JSON.parse(text) as Record<string, string>)['x-user']]).toEqual([200, 'alice']);
  expect((await client.fetch({ path: '/admin/x', headers: { authorization: 'Bearer good' } })).status).toBe(403);
  expect((await client.fetch({ path: '/admin/x' })).status).toBe(401);
});
