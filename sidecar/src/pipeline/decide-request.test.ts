import type { JsonObject } from '@remora/core/canonical-json';
import { accessLogAuthoring } from '@remora/policy-access-log/compile';
import { authenticationAuthoring } from '@remora/policy-authentication/compile';
import { authorizationAuthoring } from '@remora/policy-authorization/compile';
import { ipAccessAuthoring } from '@remora/policy-ip-access/compile';
import { jwtAuthoring } from '@remora/policy-jwt/compile';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { rateLimitAuthoring } from '@remora/policy-rate-limit/compile';
import { effectiveSection } from '@remora/testing/effective-section';
import { afterEach, describe, expect, test } from 'vitest';
import { GatewayRig } from '../testdata/gateway-rig.ts';
import type { AskingAs } from '../threads/data-plane.ts';

let rig: GatewayRig | null = null;
afterEach(async () => {
  await rig?.close();
  rig = null;
});

function section(authoring: AuthoringKind, values: JsonObject, shadow = false): object {
  const { minFormat, body } = authoring.compile(effectiveSection(authoring, values));
  return { kind: authoring.name, minFormat, body: Buffer.from(body), shadow, origins: [{ pointer: '', policy: `${authoring.name}-policy` }, ...Object.keys((values['rules'] ?? values['limits'] ?? {}) as JsonObject).map((name) => ({ pointer: `/${values['rules'] === undefined ? 'limits' : 'rules'}/${name}`, policy: `policy-of-${name}` }))] };
}

async function ask(sections: readonly object[], asked: { readonly method?: string; readonly path?: string; readonly headers?: Record<string, string>; readonly as?: AskingAs } = {}): Promise<unknown> {
  rig ??= await GatewayRig.start({ upstreams: [1], sections });
  return rig.plane.explainRequest({ side: 'gateway', method: asked.method ?? 'GET', authority: 'shop.example', path: asked.path ?? '/orders', headers: asked.headers ?? {}, as: asked.as ?? {} });
}

const rules = { readers: { action: 'allow', methods: ['GET'] }, web: { action: 'allow', callers: ['spiffe://shop.example/service/web'] }, admin: { action: 'deny', paths: ['/admin/*'] } };

describe('whether a request would be let in', () => {
  test('by the rule that allows it', async () => {
    expect(await ask([section(authorizationAuthoring, { rules })])).toMatchObject({
      allowed: true, decision: null, path: '/orders', allowedBy: [{ pointer: '/rules/readers', policies: ['policy-of-readers'] }],
      steps: [{ kind: 'authorization', verdict: 'passes' }],
    });
  });

  test('refused by the rule that denies it, in whatever spelling', async () => {
    for (const path of ['/admin/x', '/%61dmin/x', '/admin']) {
      expect(await ask([section(authorizationAuthoring, { rules })], { path })).toMatchObject({
        allowed: false, decision: { kind: 'authorization', reason: 'authorization-denied', status: 403, pointer: '/rules/admin', policies: ['policy-of-admin'] },
      });
    }
    expect(await ask([], { path: '/x/../admin' })).toMatchObject({ allowed: false, decision: { reason: 'bad-path' } });
  });

  test('as a caller of the mesh', async () => {
    const sections = [section(authorizationAuthoring, { rules })];
    expect(await ask(sections, { method: 'POST' })).toMatchObject({ allowed: false, decision: { pointer: '' } });
    expect(await ask(sections, { method: 'POST', as: { caller: 'spiffe://shop.example/service/web' } })).toMatchObject({ allowed: true, allowedBy: [{ pointer: '/rules/web' }], identity: { caller: 'spiffe://shop.example/service/web' } });
  });

  test('nothing shown: authentication says so first', async () => {
    expect(await ask([section(authenticationAuthoring, { require: { any: ['mesh'] } }), section(authorizationAuthoring, { rules })])).toMatchObject({
      allowed: false, decision: { kind: 'authentication', reason: 'authentication-required', status: 401 }, steps: [{ kind: 'authentication', verdict: 'refuses' }],
    });
  });

  test('a credential that is not valid: the policy of the kind that looked at it', async () => {
    const jwt = section(jwtAuthoring, { issuers: { staff: { issuer: 'https://login.example', audiences: ['orders'] } } });
    expect(await ask([jwt, section(authenticationAuthoring, { require: { any: ['jwt'] } })], { headers: { authorization: 'Bearer abc' } })).toMatchObject({
      allowed: false, decision: { kind: 'jwt', reason: 'jwt-invalid', policies: ['jwt-policy'] },
    });
  });

  test('a section in shadow only says what it would do', async () => {
    expect(await ask([section(authorizationAuthoring, { defaultAction: 'deny' }, true)])).toMatchObject({ allowed: true, steps: [{ kind: 'authorization', shadow: true, verdict: 'would refuse', reason: 'authorization-denied' }] });
  });

  test('from an address', async () => {
    const sections = [section(ipAccessAuthoring, { deny: { scanners: '198.51.100.0/24' } })];
    expect(await ask(sections)).toMatchObject({ allowed: true });
    expect(await ask(sections, { as: { address: '198.51.100.7' } })).toMatchObject({ allowed: false, decision: { kind: 'ipAccess', pointer: '/deny/scanners' } });
  });

  test('a Consumer that is not known here is said to be so', async () => {
    expect(await ask([], { as: { consumer: 'nobody' } })).toMatchObject({ problem: expect.stringContaining('no Consumer nobody') });
  });

  test('the name of a caller needs an identity to be a name in', async () => {
    const sections = [section(authorizationAuthoring, { rules })];
    expect(await ask(sections, { method: 'POST', as: { caller: 'web' } })).toMatchObject({ problem: expect.stringContaining('SPIFFE id') });
    await rig?.plane.useFacts({ kind: 'identity', full: true, facts: new Map([['own', Buffer.from('{"trustDomain": "shop.example"}')]]) });
    expect(await ask(sections, { method: 'POST', as: { caller: 'web' } })).toMatchObject({ allowed: true, identity: { caller: 'spiffe://shop.example/service/web' } });
  });

  test('names the limits that would count it, and counts nothing, logs nothing, refuses nobody', async () => {
    const sections = [section(rateLimitAuthoring, { limits: { perIp: { requests: 1, per: '1h', key: ['clientAddress'] }, posts: { requests: 1, per: '1h', key: ['clientAddress'], match: { methods: ['POST'] } } } }), section(accessLogAuthoring, { sample: 1 })];
    for (let i = 0; i < 5; i += 1) expect(await ask(sections)).toMatchObject({ allowed: true, limits: [{ pointer: '/limits/perIp', policies: ['policy-of-perIp'] }] });
    expect(rig?.refusals).toEqual([]);
  });
});
