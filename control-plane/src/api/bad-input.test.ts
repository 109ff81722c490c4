import { join } from 'node:path';
import { expectGolden, goldenJson } from '@remora/testing/golden';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi } from './testdata/api-fixture.ts';
import type { ApiFixture } from './testdata/api-fixture.ts';

interface BadInput {
  readonly name: string;
  readonly method?: 'GET' | 'PUT' | 'POST' | 'DELETE' | 'PATCH';
  readonly url: string;
  readonly body?: string | Uint8Array;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const service = 'kind: Service\nname: a\nports: {http: {port: 8080, protocol: http}}\n';
const apply = (name: string, body: string | Uint8Array, type?: string): BadInput => ({ name, method: 'POST', url: '/v1/apply', body, ...(type === undefined ? {} : { type }) });

/** Each answer is kept in testdata/problems: what is wrong, where, and what would have been right. */
const cases: readonly BadInput[] = [
  apply('unknown-key', `${service}lables: {a: b}\n`),
  apply('duplicate-key', `${service}name: b\n`),
  apply('duplicate-json-key', '{"kind": "Service", "name": "a", "name": "b"}', 'application/json'),
  apply('duplicate-document', `${service}---\n${service}`),
  apply('empty-section', 'kind: Policy\nname: p\ntarget: {}\nretry:\n'),
  apply('exploding-anchors', `kind: Service\nname: a\nx: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n${Array.from({ length: 9 }, (_, n) => `x${n}: &${'bcdefghij'[n]} [${Array.from({ length: 9 }, () => `*${'abcdefghi'[n]}`).join(', ')}]\n`).join('')}`),
  apply('deep-yaml', `kind: Service\nname: a\nlabels: ${'['.repeat(5_000)}${']'.repeat(5_000)}\n`),
  apply('deep-json', '['.repeat(200_000), 'application/json'),
  apply('deep-json-maps', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`, 'application/json'),
  apply('invalid-utf8', Buffer.concat([Buffer.from('kind: Service\nname: '), Buffer.from([0xc3, 0x28, 0xff]), Buffer.from('\n')])),
  apply('not-json', '{"kind": "Service", ', 'application/json'),
  apply('not-yaml', 'kind: [unclosed\nname: x\n'),
  apply('not-a-map', '- just\n- texts\n'),
  apply('prototype-name', 'kind: Service\nname: __proto__\nports: {http: {port: 1, protocol: http}}\n'),
  apply('prototype-key', '{"kind": "Service", "name": "a", "__proto__": {"polluted": true}, "constructor": 1}', 'application/json'),
  apply('control-characters', 'kind: Service\nname: "a\\u0000b"\nports: {http: {port: 1, protocol: http}}\n'),
  apply('reserved-kind', 'kind: Secret\nname: s\n'),
  apply('reserved-section', 'kind: Policy\nname: p\ntarget: {}\nwaf: {rules: {}}\n'),
  apply('unknown-media-type', '<service/>', 'application/xml'),
  { name: 'compressed-body', method: 'POST', url: '/v1/apply', body: service, headers: { 'content-encoding': 'gzip' } },
  { name: 'unknown-parameter', url: '/v1/services?limt=5' },
  { name: 'bad-parameters', url: '/v1/revisions?limit=0&before=-1&document=nothing' },
  { name: 'bad-limit', url: '/v1/services?limit=100000' },
  { name: 'bad-revision', url: '/v1/revisions/latest' },
  { name: 'bad-wait', method: 'POST', url: '/v1/apply?wait=forever&timeout=2d', body: service },
  { name: 'bad-percent-encoding', url: '/v1/services/%zz' },
  { name: 'no-such-path', url: '/v1/servces' },
  { name: 'wrong-method', method: 'PATCH', url: '/v1/services/a' },
  { name: 'wrong-method-of-list', method: 'DELETE', url: '/v1/services' },
  { name: 'bad-author', method: 'POST', url: '/v1/apply', body: service, headers: { 'x-remora-author': '%ff' } },
  { name: 'control-characters-in-author', method: 'POST', url: '/v1/apply', body: service, headers: { 'x-remora-author': 'a%1b[31m' } },
  { name: 'two-places', url: '/v1/explain?service=a&gateway=b' },
  { name: 'no-such-place', url: '/v1/explain?service=nobody' },
  { name: 'no-such-event-type', url: '/v1/events?type=revision,sidecar-refusd' },
  { name: 'bad-subject', url: '/v1/sidecars?subject=orders' },
  { name: 'no-such-kind-of-field', url: '/v1/explain?service=a&field=/tiemout' },
  { name: 'bad-at', url: '/v1/explain?service=a&at=14:02' },
  { name: 'bad-name-to-delete', method: 'POST', url: '/v1/delete', body: '{"documents":["orders"],"doc":1}', type: 'application/json' },
  { name: 'bad-time-of-an-ejection', method: 'POST', url: '/v1/services/a/eject', body: '{"host":"10.0.0.7:80","for":"2d"}', type: 'application/json' },
  { name: 'bad-time-of-a-breaker', method: 'POST', url: '/v1/services/a/breaker', body: '{"action":"open","for":"soon"}', type: 'application/json' },
  { name: 'control-characters-in-a-reason', method: 'POST', url: '/v1/services/a/eject', body: '{"host":"10.0.0.7:80","reason":"a\\u001b[31m"}', type: 'application/json' },
  { name: 'no-such-sidecar', url: '/v1/sidecars/nobody' },
];

describe('bad input', () => {
  let api: ApiFixture;
  beforeAll(async () => {
    api = await startApi();
  });
  afterAll(() => api.close());

  test.each(cases)('$name', async ({ name, method = 'GET', url, body, type, headers }) => {
    const answer = await api.call(method, url, { ...(body === undefined ? {} : { body }), ...(type === undefined ? {} : { type }), ...(headers ? { headers } : {}) });
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.status).toBe(answer.body.status);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.text).not.toMatch(/\/work\/|node_modules| at .*\.ts/);
    expectGolden(join(import.meta.dirname, `testdata/problems/${name}.json`), goldenJson(answer.body));
  });

  test('afterwards a clean request succeeds, nothing was written, and nothing failed inside', async () => {
    expect(api.alarms).toEqual([]);
    expect(api.controlPlane.store.head().index).toBe(0);
    expect((await api.call('POST', '/v1/apply', { body: service })).status).toBe(200);
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test('a body beyond its bound is refused before it is read', async () => {
    const answer = await api.call('PUT', '/v1/services/a', { body: `# ${'x'.repeat(1024 * 1024)}\n` });
    expect(answer.body).toMatchObject({ code: 'body-too-large', status: 413 });
  });
});
