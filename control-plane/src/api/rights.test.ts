import { join } from 'node:path';
import { expectGolden } from '@remora/testing/golden';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startIdentity } from '../identity/testdata/identity-fixture.ts';
import type { IdentityFixture } from '../identity/testdata/identity-fixture.ts';
import { auditOf } from './audited.ts';
import { canaryOf, startRightsWorld } from './testdata/rights-world.ts';
import type { RightsWorld } from './testdata/rights-world.ts';

interface Sample {
  readonly url: string;
  readonly body?: string | object;
}

type Method = Parameters<RightsWorld['call']>[1];

const service = (name: string): string => `kind: Service\nname: ${name}\nports: {http: {port: 1, protocol: http}}\n`;
const policy = (name: string, target: string): string => `kind: Policy\nname: ${name}\ntarget: ${target}\ntimeout: {request: 1s}\n`;
const documentOf: Readonly<Record<string, { readonly own: string; readonly foreign: string; readonly bodies: readonly [string, string] }>> = {
  services: { own: 'orders', foreign: 'hidden-ledger', bodies: [service('orders'), service('hidden-ledger')] },
  gateways: { own: 'orders-edge', foreign: 'hidden-edge', bodies: ['kind: Gateway\nname: orders-edge\nlisteners: {http: {port: 0, protocol: http}}\n', 'kind: Gateway\nname: hidden-edge\nlisteners: {http: {port: 0, protocol: http}}\n'] },
  routes: { own: 'orders-list', foreign: 'hidden-route', bodies: ['kind: Route\nname: orders-list\nservice: orders\nmatch: {path: {prefix: /o}}\nto: [{}]\n', 'kind: Route\nname: hidden-route\ngateway: hidden-edge\nto: [{service: hidden-ledger}]\n'] },
  policies: { own: 'orders-policy', foreign: 'hidden-policy', bodies: [policy('orders-policy', '{service: orders}'), policy('hidden-policy', '{service: hidden-ledger}')] },
  mesh: { own: 'mesh', foreign: 'mesh', bodies: ['kind: Mesh\nname: mesh\n', 'kind: Mesh\nname: mesh\n'] },
  consumers: { own: 'orders-app', foreign: 'hidden-app', bodies: ['kind: Consumer\nname: orders-app\n', 'kind: Consumer\nname: hidden-app\n'] },
  plans: { own: 'orders-plan', foreign: 'hidden-plan', bodies: ['kind: Plan\nname: orders-plan\n', 'kind: Plan\nname: hidden-plan\n'] },
  canaries: { own: 'orders-canary', foreign: 'hidden-canary', bodies: [canaryOf('orders-canary', 'orders'), canaryOf('hidden-canary', 'hidden-ledger')] },
};

/** A request about something in the scope, and one about something outside of it; one where there is no difference. */
type Samples = readonly [own: Sample, ...foreign: Sample[]];

/** Every path of the API by its operation. Whoever adds a path says here what a request to it looks like. */
function samplesOf({ revisions }: RightsWorld): Readonly<Record<string, Samples>> {
  const perKind = Object.fromEntries(Object.entries(documentOf).flatMap(([plural, { own, foreign, bodies }]): [string, Samples][] => [
    [`GET /v1/${plural}`, [{ url: `/v1/${plural}` }]],
    [`GET /v1/${plural}/{name}`, [{ url: `/v1/${plural}/${own}` }, { url: `/v1/${plural}/${foreign}` }]],
    [`PUT /v1/${plural}/{name}`, [{ url: `/v1/${plural}/${own}?dryRun`, body: bodies[0] }, { url: `/v1/${plural}/${foreign}?dryRun`, body: bodies[1] }]],
    [`DELETE /v1/${plural}/{name}`, [{ url: `/v1/${plural}/${own}?dryRun` }, { url: `/v1/${plural}/${foreign}?dryRun` }]],
  ]));
  const asked = (name: string): object => ({ service: name, request: { path: '/orders' } });
  return {
    ...perKind,
    'GET /v1/policies/{name}/status': [{ url: '/v1/policies/orders-policy/status' }, { url: '/v1/policies/hidden-policy/status' }],
    'GET /v1/canary-status': [{ url: '/v1/canary-status' }],
    'GET /v1/canaries/{name}/status': [{ url: '/v1/canaries/orders-canary/status' }, { url: '/v1/canaries/hidden-canary/status' }],
    ...Object.fromEntries(['promote', 'pause', 'resume', 'abort'].map((order): [string, Samples] => [`POST /v1/canaries/{name}/${order}`, [{ url: `/v1/canaries/orders-canary/${order}` }, { url: `/v1/canaries/hidden-canary/${order}` }]])),
    'GET /v1/services/{name}/mtls': [{ url: '/v1/services/orders/mtls' }, { url: '/v1/services/hidden-ledger/mtls' }],
    'GET /v1/services/{name}/endpoints': [{ url: '/v1/services/orders/endpoints' }, { url: '/v1/services/hidden-ledger/endpoints' }],
    'GET /v1/services/{name}/health': [{ url: '/v1/services/orders/health' }, { url: '/v1/services/hidden-ledger/health' }],
    'POST /v1/services/{name}/eject': [{ url: '/v1/services/orders/eject', body: { host: 'none' } }, { url: '/v1/services/hidden-ledger/eject', body: { host: 'none' } }],
    'POST /v1/services/{name}/breaker': [{ url: '/v1/services/orders/breaker', body: { action: 'open' } }, { url: '/v1/services/hidden-ledger/breaker', body: { action: 'open' } }],
    'POST /v1/services/{name}/uneject': [{ url: '/v1/services/orders/uneject', body: { host: 'none' } }, { url: '/v1/services/hidden-ledger/uneject', body: { host: 'none' } }],
    'GET /v1/health': [{ url: '/v1/health' }],
    'GET /v1/discovery': [{ url: '/v1/discovery' }],
    'GET /v1/suggestions': [{ url: '/v1/suggestions' }],
    'GET /v1/usage': [{ url: '/v1/usage' }],
    'POST /v1/apply': [{ url: '/v1/apply?dryRun', body: policy('orders-policy', '{service: orders}') }, { url: '/v1/apply?dryRun', body: policy('baseline', '{}') }],
    'POST /v1/delete': [{ url: '/v1/delete?dryRun', body: { documents: ['Policy/orders-policy'] } }, { url: '/v1/delete?dryRun', body: { documents: ['Policy/hidden-policy'] } }],
    'POST /v1/validate': [{ url: '/v1/validate', body: policy('orders-policy', '{service: orders}') }, { url: '/v1/validate', body: policy('hidden-policy', '{service: hidden-ledger}') }],
    'GET /v1/revisions': [{ url: '/v1/revisions' }],
    'GET /v1/revisions/{n}': [{ url: `/v1/revisions/${revisions.own}` }, { url: `/v1/revisions/${revisions.foreign}` }],
    'GET /v1/revisions/{n}/diff': [{ url: `/v1/revisions/${revisions.own}/diff` }, { url: `/v1/revisions/${revisions.foreign}/diff` }],
    'GET /v1/revisions/{n}/enforcement': [{ url: `/v1/revisions/${revisions.own}/enforcement` }, { url: `/v1/revisions/${revisions.foreign}/enforcement` }],
    'POST /v1/revisions/{n}/revert': [{ url: `/v1/revisions/${revisions.own}/revert?dryRun` }, { url: `/v1/revisions/${revisions.foreign}/revert?dryRun` }],
    'POST /v1/restore-to/{n}': [{ url: `/v1/restore-to/${revisions.own}?dryRun` }],
    'GET /v1/enforcement/{of}': [{ url: '/v1/enforcement/consumers' }],
    'GET /v1/sidecars': [{ url: '/v1/sidecars' }, { url: '/v1/sidecars?subject=service/hidden-ledger' }],
    'GET /v1/sidecars/{id}': [{ url: '/v1/sidecars/none' }],
    'GET /v1/sidecars/{id}/snapshot': [{ url: '/v1/sidecars/none/snapshot' }],
    'GET /v1/sidecars/{id}/history': [{ url: '/v1/sidecars/none/history' }],
    'POST /v1/identity/tokens': [{ url: '/v1/identity/tokens', body: { service: 'orders' } }, { url: '/v1/identity/tokens', body: { service: 'hidden-ledger' } }],
    'GET /v1/identity/tokens': [{ url: '/v1/identity/tokens' }],
    'DELETE /v1/identity/tokens/{id}': [{ url: '/v1/identity/tokens/none' }],
    'GET /v1/identity/ca': [{ url: '/v1/identity/ca' }],
    'GET /v1/identity/ca/rotation': [{ url: '/v1/identity/ca/rotation' }],
    'POST /v1/identity/ca/rotation': [{ url: '/v1/identity/ca/rotation', body: { action: 'abort' } }],
    'POST /v1/identity/revocations': [{ url: '/v1/identity/revocations', body: { nodeId: 'none', reason: 'x' } }],
    'GET /v1/identity/revocations': [{ url: '/v1/identity/revocations' }],
    'DELETE /v1/identity/revocations/{id}': [{ url: '/v1/identity/revocations/none' }],
    'GET /v1/identity/certificates': [{ url: '/v1/identity/certificates' }],
    'GET /v1/whoami': [{ url: '/v1/whoami' }],
    'GET /v1/login': [{ url: '/v1/login' }],
    'POST /v1/api-tokens': [{ url: '/v1/api-tokens', body: { name: 'x', role: 'viewer', services: ['orders'] } }],
    'GET /v1/api-tokens': [{ url: '/v1/api-tokens' }],
    'DELETE /v1/api-tokens/{id}': [{ url: '/v1/api-tokens/none' }],
    'GET /v1/consumers/{name}/credentials': [{ url: '/v1/consumers/none/credentials' }],
    'POST /v1/consumers/{name}/credentials/{kind}': [{ url: '/v1/consumers/none/credentials/apiKey', body: {} }],
    'PUT /v1/consumers/{name}/credentials/{id}/expiry': [{ url: '/v1/consumers/none/credentials/none/expiry', body: { in: '1h' } }],
    'DELETE /v1/consumers/{name}/credentials/{id}': [{ url: '/v1/consumers/none/credentials/none' }],
    'GET /v1/secrets': [{ url: '/v1/secrets' }],
    'GET /v1/secrets/{name}': [{ url: '/v1/secrets/none' }],
    'PUT /v1/secrets/{name}': [{ url: '/v1/secrets/some', body: { value: 'x' } }],
    'DELETE /v1/secrets/{name}': [{ url: '/v1/secrets/none' }],
    'POST /v1/secrets-rekey': [{ url: '/v1/secrets-rekey', body: {} }],
    'GET /v1/audit': [{ url: '/v1/audit' }],
    'GET /v1/audit/export': [{ url: '/v1/audit/export' }],
    'GET /v1/explain': [{ url: '/v1/explain?service=orders&all' }, { url: '/v1/explain?service=hidden-ledger' }],
    'POST /v1/explain': [{ url: '/v1/explain', body: asked('orders') }, { url: '/v1/explain', body: asked('hidden-ledger') }],
    'GET /v1/why/{requestId}': [{ url: '/v1/why/none' }],
    'POST /v1/can': [{ url: '/v1/can', body: { service: 'orders' } }, { url: '/v1/can', body: { service: 'hidden-ledger' } }, { url: '/v1/can', body: { url: 'http://any.example/' } }],
    'GET /v1/telemetry/summary': [{ url: '/v1/telemetry/summary?service=orders' }, { url: '/v1/telemetry/summary' }],
    'GET /v1/telemetry/top': [{ url: '/v1/telemetry/top' }],
    'GET /v1/telemetry/refusals': [{ url: '/v1/telemetry/refusals' }],
    'GET /v1/telemetry/events': [{ url: '/v1/telemetry/events' }],
    'GET /v1/telemetry/reporters': [{ url: '/v1/telemetry/reporters' }],
    'GET /v1/tap': [{ url: '/v1/tap?service=none&for=1ms' }],
    'GET /v1/events': [{ url: '/v1/events?type=none' }],
    'GET /v1/schemas': [{ url: '/v1/schemas' }],
    'GET /v1/schemas/{kind}': [{ url: '/v1/schemas/Policy' }],
    'GET /livez': [{ url: '/livez' }],
    'GET /readyz': [{ url: '/readyz' }],
    'GET /metrics': [{ url: '/metrics' }],
    'GET /openapi.json': [{ url: '/openapi.json' }],
    'GET /docs': [{ url: '/docs' }],
    'GET /docs/{file}': [{ url: '/docs/start.js' }],
  };
}

const columns = ['none', 'first', 'viewer', 'editor', 'admin', 'viewer of orders', 'editor of orders'];

describe('who may do what', () => {
  let identity: IdentityFixture;
  let world: RightsWorld;
  const ask = async (column: string, method: string, { url, body }: Sample): Promise<{ status: number; text: string; code: string }> => {
    const answer = await world.call(column === 'none' ? null : (world.tokens[column] ?? ''), method as Method, url, body === undefined ? {} : { body });
    return { status: answer.status, text: answer.text, code: answer.body?.code ?? '' };
  };
  beforeAll(async () => {
    identity = startIdentity();
    world = await startRightsWorld(identity.identity);
  });
  afterAll(async () => {
    await world.close();
    identity.identity.close();
  });

  test('every path declares its right, and has a sample here', () => {
    const samples = samplesOf(world);
    for (const { method, path, right } of world.api.routes) {
      expect(right, `${method} ${path} has no right: who may use it?`).toBeDefined();
      expect(Object.keys(samples), 'a new path needs a sample in this test').toContain(`${method} ${path}`);
    }
    expect(Object.keys(samples).sort()).toEqual(world.api.routes.map(({ method, path }) => `${method} ${path}`).sort());
  });

  test('what changes something needs more than a viewer, and is in the audit log', () => {
    const reads = new Set(['validate', 'explainRequest', 'can']);
    for (const route of world.api.routes) {
      if (route.method === 'GET' || reads.has(route.operationId) || route.tag === 'Reserved') continue;
      expect(route.right, route.operationId).toMatchObject({ role: expect.stringMatching(/^(editor|admin)$/) });
      expect(auditOf(route), route.operationId).not.toBe('none');
    }
  });

  test('the matrix of roles, scopes and operations is as kept', async () => {
    const samples = samplesOf(world);
    const lines = [`${''.padEnd(60)}${columns.map((name) => name.padEnd(21)).join('')}`.trimEnd()];
    for (const { method, path } of world.api.routes) {
      for (const [at, sample] of (samples[`${method} ${path}`] ?? []).entries()) {
        const cells: string[] = [];
        for (const column of columns) {
          const { status, code } = await ask(column, method, sample);
          cells.push((status < 400 ? 'yes' : status === 401 || status === 403 ? `${status}` : `yes (${code})`).padEnd(21));
        }
        lines.push(`${`${method} ${path}`.padEnd(52)}${at === 0 ? '' : 'other'}`.padEnd(60) + cells.join('').trimEnd());
      }
    }
    expectGolden(join(import.meta.dirname, 'testdata/rights-matrix.txt'), lines.join('\n'));
  }, 60_000);

  test('nobody without a token gets further than the door, and a first token no further than tokens', async () => {
    const samples = samplesOf(world);
    for (const { method, path, right } of world.api.routes) {
      if (right === 'open') continue;
      for (const sample of samples[`${method} ${path}`] ?? []) {
        expect((await ask('none', method, sample)).status, `${method} ${path}`).toBe(401);
        if (right.first) continue;
        expect(await ask('first', method, sample), `${method} ${path}`).toMatchObject({ status: 403, code: 'forbidden' });
      }
    }
  });

  test('a role with a scope hears nothing of what is outside', async () => {
    const samples = samplesOf(world);
    for (const column of ['viewer of orders', 'editor of orders']) {
      for (const { method, path } of world.api.routes) {
        for (const sample of samples[`${method} ${path}`] ?? []) {
          const asked = `${sample.url}${JSON.stringify(sample.body ?? '')}`;
          const { text } = await ask(column, method, sample);
          const told = [...new Set(text.match(/hidden[\w-]*/g) ?? [])].filter((name) => !asked.includes(name));
          expect(told, `${column}: ${method} ${sample.url}: ${text}`).toEqual([]);
        }
      }
    }
  });

  test('what exists outside of the scope and what does not are refused in the same words', async () => {
    const pairs: readonly [string, string][] = [
      ['/v1/services/hidden-ledger', '/v1/services/no-such-thing'],
      ['/v1/policies/hidden-policy', '/v1/policies/no-such-thing'],
      ['/v1/routes/hidden-route', '/v1/routes/no-such-thing'],
      ['/v1/gateways/hidden-edge', '/v1/gateways/no-such-thing'],
      ['/v1/policies/hidden-policy/status', '/v1/policies/no-such-thing/status'],
      ['/v1/explain?service=hidden-ledger', '/v1/explain?service=no-such-thing'],
      ['/v1/explain?service=orders&caller=hidden-ledger', '/v1/explain?service=orders&caller=no-such-thing'],
      ['/v1/telemetry/summary?service=hidden-ledger', '/v1/telemetry/summary?service=no-such-thing'],
      ['/v1/sidecars?subject=service/hidden-ledger', '/v1/sidecars?subject=service/no-such-thing'],
    ];
    for (const [there, missing] of pairs) {
      const [one, two] = [await ask('viewer of orders', 'GET', { url: there }), await ask('viewer of orders', 'GET', { url: missing })];
      expect(one.status, there).toBe(403);
      expect(one.text.replaceAll(/hidden-(ledger|policy|route|edge)/g, 'no-such-thing')).toBe(two.text);
    }
    for (const key of ['Policy/hidden-policy', 'Policy/no-such-thing', 'Service/no-such-thing']) {
      const { status, text } = await ask('editor of orders', 'POST', { url: '/v1/delete', body: { documents: [key] } });
      expect(status, key).toBe(403);
      expect(JSON.parse(text), key).toMatchObject({ code: 'forbidden', document: key, right: 'write', needs: 'editor', role: 'editor of service/orders' });
    }
  });
});
