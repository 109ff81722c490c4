import net from 'node:net';
import { createServer, type Server } from 'node:http';
import type { JsonObject } from '@remora/core/canonical-json';
import { apiKeyAuthoring } from '@remora/policy-api-key/compile';
import { authenticationAuthoring } from '@remora/policy-authentication/compile';
import { authorizationAuthoring } from '@remora/policy-authorization/compile';
import { basicAuthAuthoring } from '@remora/policy-basic-auth/compile';
import { clientCertificateAuthoring } from '@remora/policy-client-certificate/compile';
import { corsAuthoring } from '@remora/policy-cors/compile';
import { externalAuthAuthoring } from '@remora/policy-external-auth/compile';
import { hmacAuthoring } from '@remora/policy-hmac/compile';
import { jwtAuthoring } from '@remora/policy-jwt/compile';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { credentialKinds } from '@remora/policy-kit/request-identity';
import { oidcLoginAuthoring } from '@remora/policy-oidc-login/compile';
import { rateLimitAuthoring } from '@remora/policy-rate-limit/compile';
import { tokenIntrospectionAuthoring } from '@remora/policy-token-introspection/compile';
import { consumerFacts, consumersNamed } from '@remora/testing/consumer-facts';
import { effectiveSection } from '@remora/testing/effective-section';
import { TestIssuer } from '@remora/testing/test-issuer';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { GatewayRig } from '../testdata/gateway-rig.ts';

/** What a browser reads of a refusal, and that nothing of a refused request reaches the app: for every kind that knows clients, through the whole pipeline. */
const page = 'https://shop.example';
const issuer = new TestIssuer();
type Part = readonly [AuthoringKind, JsonObject];

const cors: Part = [corsAuthoring, { origins: [page], credentials: true, expose: ['x-remora-reason'] }];
const jwt: Part = [jwtAuthoring, { issuers: { shop: { issuer: issuer.issuer, audiences: ['orders'], jwks: issuer.jwks(issuer.key('ES256')) } } }];
const introspection: Part = [tokenIntrospectionAuthoring, { endpoint: 'https://login.example/introspect', clientId: 'gateway', clientSecret: { secret: 'introspection' } }];
const keys: Part = [apiKeyAuthoring, { keyFrom: [{ header: 'x-api-key' }] }];
const basic: Part = [basicAuthAuthoring, {}];
const signed: Part = [hmacAuthoring, {}];
const certificate: Part = [clientCertificateAuthoring, {}];
const external: Part = [externalAuthAuthoring, { http: { url: 'https://authorizer.example/check' } }];
const login: Part = [oidcLoginAuthoring, { issuer: issuer.issuer, clientId: 'shop', clientSecret: { secret: 'client' }, sessionKey: { secret: 'sessions' } }];
const rules: Part = [authorizationAuthoring, { rules: { some: { action: 'allow', paths: ['/open'] } } }];
const once: Part = [rateLimitAuthoring, { limits: { none: { requests: 1, per: '1h', algorithm: 'fixedWindow' } } }];

let app: Server;
let seen = 0;
const rigs: GatewayRig[] = [];
beforeAll(async () => {
  app = createServer((_, response) => {
    seen++;
    response.end('orders');
  });
  await new Promise<void>((resolve) => { app.listen(0, '127.0.0.1', resolve); });
});
afterAll(() => {
  app.close();
});
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.close();
});

async function gateway(parts: readonly Part[]): Promise<GatewayRig> {
  const address = app.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const all = parts.some(([{ name }]) => name === 'authorization' || name === 'rateLimit') ? parts : [...parts, [authenticationAuthoring, {}] as const];
  const kinds = parts.map(([{ name }]) => name).filter((name) => (credentialKinds as readonly string[]).includes(name));
  const sections = all.map(([authoring, section]) => {
    const { minFormat, body } = authoring.compile(effectiveSection(authoring, section), kinds);
    return { kind: authoring.name, minFormat, body: Buffer.from(body) };
  });
  const rig = await GatewayRig.start({ upstreams: [address.port], sections });
  rigs.push(rig);
  // Before Consumers have come, who shows a credential is told to wait.
  await rig.plane.useFacts(consumerFacts({ 'consumers.0': { consumers: consumersNamed('anna') } }, true));
  return rig;
}

/** Fields as they go over the wire, so that one may come twice. */
async function ask(rig: GatewayRig, fields: readonly string[], target = '/orders'): Promise<{ readonly status: number; readonly fields: ReadonlyMap<string, string> }> {
  const text = await new Promise<string>((resolve, reject) => {
    let got = '';
    const socket = net.connect(rig.port, '127.0.0.1', () => socket.write([`GET ${target} HTTP/1.1`, 'host: shop.example', 'connection: close', `origin: ${page}`, ...fields, '', ''].join('\r\n')));
    socket.setEncoding('latin1').on('data', (chunk: string) => (got += chunk)).on('end', () => resolve(got)).on('error', reject);
  });
  const [first = '', ...lines] = (text.split('\r\n\r\n')[0] ?? '').split('\r\n');
  return { status: Number(first.split(' ')[1]), fields: new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()])) };
}

const expired = issuer.token({ exp: 1 });
const others = new TestIssuer().token();

describe('a refusal can be read by the page that asked', () => {
  test.each<[string, readonly Part[], readonly string[], string]>([
    ['no token', [jwt], [], '401 authentication-required'],
    ['a token that is none', [jwt], ['authorization: Bearer a.b.c'], '401 jwt-invalid'],
    ['a token that is over', [jwt], [`authorization: Bearer ${expired}`], '401 jwt-expired'],
    ['a token with the signature of somebody else', [jwt], [`authorization: Bearer ${others}`], '401 jwt-signature'],
    ['two Authorization fields, a token each', [jwt], [`authorization: Bearer ${issuer.token()}`, `authorization: Bearer ${issuer.token()}`], '401 jwt-invalid'],
    ['two Authorization fields, one of them good', [jwt], [`authorization: Bearer ${issuer.token()}`, 'authorization: Basic YTpi'], '401 jwt-invalid'],
    ['two Authorization fields, for introspection', [introspection], ['authorization: Bearer a', 'Authorization: Bearer b'], '401 introspection-invalid'],
    ['two Authorization fields, with a password', [basic], ['authorization: Basic YTpi', 'authorization: Basic YTpi'], '401 basic-auth-invalid'],
    ['a token that nobody can be asked about', [introspection], ['authorization: Bearer abc'], '503 introspection-unavailable'],
    ['no key', [keys], [], '401 authentication-required'],
    ['two keys', [keys], ['x-api-key: a', 'x-api-key: b'], '401 api-key-invalid'],
    ['no password', [basic], [], '401 authentication-required'],
    ['a password that is none', [basic], ['authorization: Basic !'], '401 basic-auth-invalid'],
    ['no signature', [signed], [], '401 authentication-required'],
    ['a signature that is none', [signed], ['signature-input: x', 'signature: y'], '401 signature-invalid'],
    ['no certificate', [certificate], [], '401 authentication-required'],
    ['an authorizer that does not answer', [external], [], '503 external-auth-failed'],
    ['no session, asked by a script', [login], ['accept: */*', 'sec-fetch-mode: cors'], '401 authentication-required'],
    ['a forged session', [login], ['cookie: __Host-remora=forged'], '401 authentication-required'],
    ['a callback of nobody', [login], [], '400 oidc-state'],
    ['a rule that does not allow it', [rules], [], '403 authorization-denied'],
  ])('%s', async (_what, parts, fields, expected) => {
    const rig = await gateway([cors, ...parts]);
    seen = 0;
    const { status, fields: told } = await ask(rig, fields, expected === '400 oidc-state' ? '/.remora/callback?code=a&state=b' : '/orders');
    expect(`${status} ${told.get('x-remora-reason')}`).toBe(expected);
    expect([told.get('access-control-allow-origin'), told.get('access-control-allow-credentials'), told.get('access-control-expose-headers')]).toEqual([page, 'true', 'x-remora-reason']);
    if (status === 401) expect(told.has('www-authenticate') || parts.includes(certificate)).toBe(true);
    expect(seen).toBe(0);
  });

  test('a limit that is reached', async () => {
    const rig = await gateway([cors, once]);
    await ask(rig, []);
    const { status, fields } = await ask(rig, []);
    expect([status, fields.get('x-remora-reason'), fields.get('access-control-allow-origin')]).toEqual([429, 'rate-limited', page]);
  });

  test('to no other page', async () => {
    const rig = await gateway([[corsAuthoring, { origins: ['https://other.example'] }], jwt]);
    const { status, fields } = await ask(rig, []);
    expect([status, fields.has('access-control-allow-origin')]).toEqual([401, false]);
  });
});
