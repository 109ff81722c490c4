import type { JsonObject } from '@remora/core/canonical-json';
import { systemClock } from '@remora/core/clock';
import { authenticationAuthoring } from '@remora/policy-authentication/compile';
import { authorizationAuthoring } from '@remora/policy-authorization/compile';
import { externalAuthAuthoring } from '@remora/policy-external-auth/compile';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { effectiveSection } from '@remora/testing/effective-section';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ExchangeClient, type TestProtocol } from '../testdata/exchange-client.ts';
import { ExchangeServer, readBody, type Handle } from '../testdata/exchange-server.ts';
import { GatewayRig } from '../testdata/gateway-rig.ts';
import { startGrpcAuthorizer } from '../testdata/grpc-authorizer.ts';
import { ExternalAuthCaller } from './external-auth-caller.ts';
import { UndiciHelperClient } from './undici-helper-client.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function section(authoring: AuthoringKind, values: JsonObject, inEffect: readonly string[] = [], shadow = false): object {
  const { minFormat, body } = authoring.compile(effectiveSection(authoring, values), inEffect);
  return { kind: authoring.name, minFormat, body: Buffer.from(body), origins: [], shadow };
}

/** A gateway that asks an authorizer over HTTP, in front of an app that tells the headers it got. */
async function start(authorizer: Handle, protocol: TestProtocol, own: { readonly externalAuth?: JsonObject; readonly authentication?: JsonObject; readonly authorization?: JsonObject; readonly echo?: boolean; readonly shadow?: boolean } = {}): Promise<{ client: ExchangeClient; app: ExchangeServer; rig: GatewayRig }> {
  const app = await ExchangeServer.start('http1', async (request, response) => {
    const plain = response as import('node:http').ServerResponse;
    if (own.echo === true) plain.setHeader('x-told', String(request.headers['x-user'])).end(await readBody(request));
    else plain.end(JSON.stringify(request.headers));
  });
  const auth = await ExchangeServer.start('http1', authorizer);
  const rig = await GatewayRig.start({
    upstreams: [app.port],
    sections: [
      section(externalAuthAuthoring, { ...(own.externalAuth?.['grpc'] === undefined && { http: { url: `http://127.0.0.1:${auth.port}/check` } }), allowPrivateAddresses: true, headersToUpstream: ['x-user'], deadline: '2s', ...own.externalAuth }, [], own.shadow),
      ...(own.shadow === true ? [] : [section(authenticationAuthoring, own.authentication ?? { enabled: true }, ['externalAuth'])]),
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

/** Lets in small amounts. Tells what it got. */
const byAmount: Handle = async (request, response) => {
  const plain = response as import('node:http').ServerResponse;
  const body = (await readBody(request)).toString();
  plain.writeHead(body.includes('"amount":5') ? 200 : 403, { 'x-user': `${request.method} ${String(request.headers['content-length'])} ${request.headers['content-type']} ${String(request.headers['x-envoy-auth-partial-body'])}` }).end(body);
};

describe.each<TestProtocol>(['http1', 'http2'])('an authorizer that is told the body, clients over %s', (protocol) => {
  test('decides by it, and the app gets it as it was', async () => {
    const { client, app } = await start(byAmount, protocol, { externalAuth: { body: { maxBytes: '1KiB' } }, echo: true });
    const { status, text, headers } = await client.fetch({ method: 'POST', headers: { 'content-type': 'application/json', 'content-length': '12' }, body: '{"amount":5}' });
    expect([status, text, headers['x-told']]).toEqual([200, '{"amount":5}', 'POST 12 application/json false']);
    expect(await client.fetch({ method: 'POST', body: '{"amount":6}' })).toMatchObject({ status: 403, text: '{"amount":6}' });
    expect((await client.fetch({ method: 'GET' })).status).toBe(403);
    expect(app.requests).toBe(1);
  });

  test('refuses what is longer, where it may not decide by the beginning', async () => {
    const { client, app, rig } = await start(byAmount, protocol, { externalAuth: { body: { maxBytes: '100B' } }, echo: true });
    for (const headers of [{}, { 'content-length': '101' }]) {
      const exchange = client.send({ method: 'POST', headers, body: `{"amount":5}${' '.repeat(89)}` });
      exchange.request.on('error', () => {});
      expect((await exchange.head).status).toBe(413);
    }
    expect(app.requests).toBe(0);
    await vi.waitFor(() => expect(rig.refusals).toMatchObject(Array.from({ length: 2 }, () => ({ reason: 'external-auth-body-too-large', pointer: '/body/maxBytes', kind: 'externalAuth' }))));
    expect((await client.fetch({ method: 'POST', body: `{"amount":5}${' '.repeat(88)}` })).status).toBe(200);
  });

  test('decides by the beginning where it may', async () => {
    const { client } = await start(byAmount, protocol, { externalAuth: { body: { maxBytes: '12B', allowPartial: true } }, echo: true });
    const body = `{"amount":5}${'x'.repeat(1_000_000)}`;
    const answer = await client.fetch({ method: 'POST', body, headers: { 'content-type': 'text/plain' } });
    expect([answer.status, answer.text === body, answer.headers['x-told']]).toEqual([200, true, 'POST 12 text/plain true']);
  });

  test('in shadow it is asked about a copy of what passes', async () => {
    const { client, rig } = await start(byAmount, protocol, { externalAuth: { body: { maxBytes: '12B' } }, echo: true, shadow: true });
    const long = 'x'.repeat(200_000);
    for (const body of ['{"amount":5}', '{"amount":6}', long]) expect(await client.fetch({ method: 'POST', body })).toMatchObject({ status: 200, text: body });
    await vi.waitFor(() => expect(rig.plane.readPolicyEvents().get('externalAuth_shadow_denied')).toBe(2));
    expect(rig.plane.readPolicyEvents().get('externalAuth_asked')).toBe(2);
  });

  test('a client that leaves before its body has come leaves nothing behind, and nobody is asked', async () => {
    let asked = 0;
    const { client, app, rig } = await start(() => void (asked += 1), protocol, { externalAuth: { body: {} } });
    const exchange = client.send({ method: 'POST' });
    exchange.head.catch(() => {});
    exchange.request.on('error', () => {});
    exchange.request.write('{"amount"');
    await vi.waitFor(() => expect(rig.plane.readPolicyEvents().get('bodies_held')).toBe(1));
    exchange.cancel();
    client.close();
    await rig.untilNothingIsLeft();
    expect([asked, app.requests]).toEqual([0, 0]);
  });
});

describe.each<TestProtocol>(['http1', 'http2'])('an authorizer over gRPC that is told the body, clients over %s', (protocol) => {
  test.each([false, true])('decides by it, and the app gets it as it was (packAsBytes: %s)', async (packAsBytes) => {
    const sizes: string[] = [];
    const address = await startGrpcAuthorizer((asked, answer) => {
      const request = asked.attributes?.request?.http;
      const body = (packAsBytes ? request?.rawBody : request?.body) ?? Buffer.alloc(0);
      sizes.push(`${body.length} ${request?.headers['x-envoy-auth-partial-body']}`);
      answer(null, { status: { code: body[0] === 0x7b ? 0 : 7, message: '' }, deniedResponse: undefined, okResponse: undefined });
    }, closers);
    const { client, app } = await start(byAmount, protocol, { externalAuth: { body: { maxBytes: '2KiB', allowPartial: true, packAsBytes }, grpc: { address } }, echo: true });
    for (const body of ['{}', `{${'x'.repeat(2_047)}`, `{${'x'.repeat(100_000)}`]) expect(await client.fetch({ method: 'POST', body, headers: { 'content-length': String(body.length) } })).toMatchObject({ status: 200, text: body });
    expect((await client.fetch({ method: 'POST', body: '[]' })).status).toBe(403);
    expect([sizes, app.requests]).toEqual([['2 false', '2048 false', '2048 true', '2 false'], 3]);
  });
});

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
