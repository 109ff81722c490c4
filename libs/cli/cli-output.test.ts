import path from 'node:path';
import { expectGolden } from '@remora/testing/golden';
import { describe, expect, test } from 'vitest';
import { goldenOf, runScripted } from './cli-fixture.ts';
import type { CliRunOptions, Script } from './cli-fixture.ts';
import { authority, canaryStatus, credential, secret, enforced, explanation, joinToken, nodeCertificate, offlineSidecar, otherwise, pendingOne, refusedByOne, refusedSidecar, revision, sidecar, whyAnswer, whyChain, whyHops, written, revocation, rotation } from './testdata/answers.ts';

// Times of the day are shown as this machine's clock has them.
process.env['TZ'] = 'UTC';

interface Case extends CliRunOptions {
  readonly name: string;
  readonly args: readonly string[];
}

const documents = path.join(import.meta.dirname, 'testdata/documents');
const write = (body: unknown): Script => ({ 'POST /v1/apply': { body } });
const head = { epoch: 1_763_000_000, index: 4 };
const stored = (document: object, at: number): object => ({ document, revision: at, owner: '', etag: '"x"' });
const problem = (status: number, code: string, more: object): Script => ({ 'POST /v1/apply': { status, body: { type: `urn:remora:problem:${code}`, title: `Title of ${code}`, status, code, ...more } } });

const failing = { service: 'payments', source: 'consul', asked: 'payments in eu', state: 'failing', answeredAt: '2026-11-22T11:00:00.000Z', failingSince: '2026-11-22T11:01:00.000Z', error: 'Consul at http://127.0.0.1:8500, payments: it is hung: no answer in time', problems: ['node-1/c: its port http is 0; it is left out'], instances: 2, suspect: 1 };
const endpoint = { id: 'consul/node-1/a', source: 'consul', state: 'ready', ports: [{ name: 'http', host: '10.0.0.1', port: 8080 }], labels: { version: 'v2' }, locality: 'eu/a', weight: 5, backup: false, mtls: false, since: '2026-11-20T12:00:00.000Z', confirmedAt: '2026-11-22T11:00:00.000Z' };

const step = (number: number, message: string, author = 'canary/orders-v2'): object => ({ ...revision, revision: number, author, message, documents: [{ document: 'Route/orders-v2', action: 'updated' }] });
const canaryHistory: Script = { 'GET /v1/revisions': { body: { items: [
  step(9, 'step 1 of 2: 5 % to version=v3'), step(8, 'completed, step 2 of 2: everything to version=v2'), step(7, 'quicker', 'ana'), step(6, 'step 1 of 2: 5 % to version=v2'), step(5, 'step 1 of 3: 1 % to b=1', 'canary/web'),
], next: null, head, retainedFrom: 1 } } };
const failedCanary = {
  ...canaryStatus, canary: 'web-v3', service: 'web', routes: ['api', 'pages'], ownRoute: false, phase: 'failed' as const, step: 1, weight: null, endedAt: '2026-11-22T11:00:00.000Z',
  now: { action: 'abort' as const, because: 'failed', sentence: 'errors 10 % of 120, stable 0.5 % of 400: more than 1 % above' },
};
const waitingCanary = {
  ...canaryStatus, phase: 'waiting' as const, step: null, weight: null, since: null, startedAt: null, reportedAt: null, gates: [], decisions: [], now: { action: 'hold' as const, because: 'waiting', sentence: 'has not begun' },
  candidate: { labels: { version: 'v2' }, requests: null, errors: null, errorShare: null, p99Ms: null }, stable: { labels: { version: 'v1' }, requests: null, errors: null, errorShare: null, p99Ms: null },
};

const ended = {
  nodeId: 'orders-1', at: '2026-11-22T11:59:30.250Z', side: 'inbound', method: 'GET', authority: 'orders', path: '/v1/orders/42', route: 'all', destination: '', upstream: '', status: 200, grpcStatus: -1, reason: '',
  attempts: 1, durationMs: 12.4, requestId: '7f3c2b1e', caller: 'spiffe://test/service/web',
};
const event = (name: string, data: object): string => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
const tapEvents = [
  event('left-out', { sidecars: 6 }), event('request', ended), event('request', { ...ended, side: 'outbound', destination: 'payments', upstream: '10.0.0.9:8080', attempts: 3, status: 503, reason: 'upstream-reset', durationMs: 1_003.6 }),
  event('request', { ...ended, grpcStatus: 14, caller: '10.0.0.7' }), event('request', { ...ended, status: 0, reason: 'downstream-reset' }), event('skipped', { nodeId: 'orders-1', skipped: 30 }), event('silent', { nodeId: 'orders-2', detail: 'no answer within 2000 ms' }),
  event('end', { seen: 4, sidecars: 2 }),
].join('');

const cases: readonly Case[] = [
  {
    name: 'endpoints', args: ['endpoints', 'payments'],
    script: { 'GET /v1/services/payments/endpoints': { body: { service: 'payments', sources: [failing], items: [
      endpoint, { ...endpoint, id: 'consul/node-1/b', state: 'suspect', ports: [{ name: 'admin', host: 'fd00::1', port: 9000 }, { name: 'http', host: 'fd00::1', port: 8080 }], backup: true },
      { ...endpoint, id: 'pod-1', source: 'lease', state: 'draining' }, { ...endpoint, id: 'static/10.0.0.9:8080', source: 'static', state: 'not-ready', since: null, confirmedAt: null, locality: '' },
    ] } } },
  },
  { name: 'endpoints-none', args: ['endpoints', 'payments'], script: { 'GET /v1/services/payments/endpoints': { body: { service: 'payments', items: [], sources: [] } } } },
  { name: 'endpoints-sources', args: ['endpoints'], script: { 'GET /v1/discovery': { body: { items: [failing, { ...failing, service: 'orders', source: 'dns', asked: 'orders.test', state: 'current', error: '', problems: [], suspect: 0 }] } } } },
  { name: 'apply', args: ['apply', '-f', 'good.yaml', '-m', 'quicker'], script: write(written) },
  { name: 'apply-wait', args: ['apply', '-f', 'good.yaml', '--wait', '--timeout', '5s', '--owner', 'team', '--force', 'a,b', '--force', 'c'], script: write({ ...written, enforcement: enforced }) },
  { name: 'apply-wait-refused', args: ['apply', '-f', 'good.yaml', '--wait'], script: write({ ...written, enforcement: refusedByOne }) },
  { name: 'apply-wait-timeout', args: ['apply', '-f', 'good.yaml', '--wait'], script: write({ ...written, enforcement: pendingOne }) },
  { name: 'apply-wait-nobody', args: ['apply', '-f', 'good.yaml', '--wait'], script: write({ ...written, enforcement: { ...enforced, sidecars: [], counts: { ...enforced.counts, total: 0, applied: 0 } } }) },
  { name: 'apply-unchanged', args: ['apply', '-f', 'good.yaml'], script: write({ ...written, outcome: 'unchanged', revision: null, changes: [], changeCount: 0 }) },
  { name: 'apply-dry-run', args: ['apply', '-f', 'good.yaml', '--dry-run', '--wait'], script: write({ ...written, outcome: 'dry-run', revision: null, effective: otherwise }) },
  { name: 'apply-dry-run-all', args: ['apply', '-f', 'good.yaml', '--dry-run', '--all'], script: write({ ...written, outcome: 'dry-run', revision: null, effective: { ...otherwise, defaults: 0 } }) },
  { name: 'apply-dry-run-json', args: ['apply', '-f', 'good.yaml', '--dry-run', '-o', 'json'], script: write({ ...written, outcome: 'dry-run', revision: null, changes: [], changeCount: 0, effective: { changes: [], more: 0, defaults: 0 } }) },
  { name: 'apply-plan-prune', args: ['apply', '-f', 'good.yaml', '--plan', 'abc', '--prune', 'team'], script: problem(409, 'plan-differs', { detail: 'the plan would do something else now' }) },
  { name: 'apply-json', args: ['apply', '-f', 'good.yaml', '-o', 'json'], script: write({ ...written, enforcement: enforced }) },
  { name: 'apply-yaml', args: ['apply', '-f', 'good.yaml', '-o', 'yaml'], script: write({ ...written, changes: [], changeCount: 0 }) },
  { name: 'apply-stdin', args: ['apply', '-f', '-'], stdin: '{"kind":"Mesh","name":"mesh"}', script: write(written) },
  { name: 'apply-folder', args: ['apply', '-f', '.'], script: {} },
  { name: 'apply-colours', args: ['apply', '-f', 'good.yaml', '--wait'], terminal: true, script: write({ ...written, enforcement: enforced }) },
  { name: 'apply-no-colours', args: ['apply', '-f', 'good.yaml', '--wait'], terminal: true, env: { NO_COLOR: '1' }, script: write({ ...written, enforcement: enforced }) },
  {
    name: 'apply-refused', args: ['apply', '-f', 'good.yaml', '-f', 'wrong.yaml'],
    script: problem(422, 'documents-refused', {
      detail: '3 violations',
      violations: [
        { document: 'Policy/limits', source: 'request:6', pointer: '/rateLimit/limits/perIp/request', code: 'unknown-field', message: 'there is no field "request" here', expected: 'one of requests, per', suggestion: 'requests' },
        { document: 'Policy/limits', source: 'request:6', pointer: '/rateLimit/limits/perIp/per', code: 'invalid-duration', message: '"1 minute" is not a duration', expected: 'a duration such as 1m' },
        { document: 'Policy/extra', pointer: '', code: 'conflict', message: 'Policy/limits sets the same' },
      ],
    }),
  },
  { name: 'apply-refused-json', args: ['apply', '-f', 'wrong.yaml', '-o', 'json'], script: problem(422, 'documents-refused', { violations: [{ document: 'Policy/limits', pointer: '/rateLimit', code: 'x', message: 'wrong' }] }) },
  {
    name: 'apply-unreadable', args: ['apply', '-f', 'unreadable.yaml'],
    script: problem(422, 'documents-refused', { violations: [{ document: 'Service/web', source: 'request:2', pointer: '/ports/http/prot', code: 'unknown-field', message: 'there is no field "prot" here', suggestion: 'port' }] }),
  },
  { name: 'apply-nothing-readable', args: ['apply', '-f', '-'], stdin: 'kind: [', script: problem(422, 'documents-refused', { violations: [{ pointer: '', code: 'no-document', message: 'the input has no document' }] }) },
  { name: 'apply-unreadable-prune', args: ['apply', '-f', '-', '--prune', 'team'], stdin: 'kind: [', script: problem(422, 'empty-prune', { detail: 'nothing given would delete everything of team' }) },
  {
    name: 'apply-wait-many-pending', args: ['apply', '-f', 'good.yaml', '--wait'],
    script: write({ ...written, enforcement: { ...enforced, done: false, counts: { ...enforced.counts, total: 60, applied: 0, refused: 1, pending: 59 }, sidecars: Array.from({ length: 60 }, (_, n) => ({ nodeId: `n-${n}`, subject: 'service/orders', outcome: n === 0 ? 'refused' : 'pending', elapsedMs: 0, refusal: null })) } }),
  },
  { name: 'apply-guard', args: ['apply', '-f', 'good.yaml'], script: problem(409, 'guard', { detail: 'gateway/edge had 1 routes and would have none', guards: [{ guard: 'empties-routes', subject: 'gateway/edge', message: 'gateway/edge had 1 routes and would have none' }] }) },
  { name: 'apply-server-failed', args: ['apply', '-f', 'good.yaml'], script: problem(500, 'internal', {}) },
  { name: 'apply-missing-file', args: ['apply', '-f', 'nowhere.yaml'] },
  { name: 'apply-owner-and-prune', args: ['apply', '-f', 'good.yaml', '--owner', 'a', '--prune', 'b'] },
  { name: 'apply-no-file', args: ['apply'] },
  { name: 'apply-bad-timeout', args: ['apply', '-f', 'good.yaml', '--timeout', 'soon'] },
  {
    name: 'token-create', args: ['token', 'create', '--service', 'orders', '--ttl', '30m', '--uses', '2'],
    script: { 'POST /v1/identity/tokens': { status: 201, body: { token: 'rmj1.k3x9q2m7ab01.SECRET.PIN.shop.example', status: { ...joinToken, uses: 2 } } } },
  },
  { name: 'token-list', args: ['token', 'list'], script: { 'GET /v1/identity/tokens?limit=500': { body: { items: [joinToken, { ...joinToken, id: 'b2b2b2b2b2b2', state: 'revoked', used: 1, expiresAt: '2026-11-22T11:00:00.000Z' }], next: null, total: 2 } } } },
  { name: 'token-revoke', args: ['token', 'revoke', 'k3x9q2m7ab01'], script: { 'DELETE /v1/identity/tokens/k3x9q2m7ab01': { body: { ...joinToken, state: 'revoked' } } } },
  {
    name: 'consumer-key-create', args: ['consumer', 'key', 'create', 'app', '--ttl', '90d', '--replaces', 'oldoldoldold'],
    script: { 'POST /v1/consumers/app/credentials/apiKey': { status: 201, body: { secret: 'rk_abcdefgh_SECRET', credential, replaces: { ...credential, id: 'oldoldoldold', expiresAt: '2026-11-23T12:00:00.000Z' } } } },
  },
  { name: 'consumer-key-list', args: ['consumer', 'key', 'list', 'app'], script: { 'GET /v1/consumers/app/credentials': { body: { items: [credential, { ...credential, id: 'b2b2b2b2b2b2', kind: 'jwt', known: 'k1', issuer: 'app', state: 'expired', expiresAt: '2026-11-22T11:00:00.000Z' }], total: 2 } } } },
  { name: 'consumer-key-revoke', args: ['consumer', 'key', 'revoke', 'app', 'k3x9q2m7ab01'], script: { 'DELETE /v1/consumers/app/credentials/k3x9q2m7ab01': { body: credential } } },
  { name: 'consumer-key-expire', args: ['consumer', 'key', 'expire', 'app', 'k3x9q2m7ab01', '--ttl', '7d'], script: { 'PUT /v1/consumers/app/credentials/k3x9q2m7ab01/expiry': { body: credential } } },
  { name: 'consumer-key-value', args: ['consumer', 'key', 'create', 'app', '--value', 'planted'] },
  { name: 'consumer-key-no-id', args: ['consumer', 'key', 'revoke', 'app'] },
  { name: 'secret-set-stdin', args: ['secret', 'set', 'api-cert'], stdin: 'planted', script: { 'PUT /v1/secrets/api-cert': { body: secret } } },
  { name: 'secret-set-vault', args: ['secret', 'set', 'api-cert', '--from-vault', 'secret/edge/tls#pem'], script: { 'PUT /v1/secrets/api-cert': { body: { ...secret, usedBy: [] } } } },
  { name: 'secret-set-two', args: ['secret', 'set', 'api-cert', '--from-env', 'X', '--from-host-file', 'y'] },
  { name: 'secret-set-vault-wrong', args: ['secret', 'set', 'api-cert', '--from-vault', 'secret'] },
  { name: 'secret-set-no-variable', args: ['secret', 'set', 'api-cert', '--from-env', 'NO_SUCH_VARIABLE'] },
  { name: 'secret-list', args: ['secret', 'list'], script: { 'GET /v1/secrets?limit=500': { body: { items: [secret, { ...secret, name: 'vaulted', state: 'stale', source: 'vault secret/x#y', problem: 'Vault: did not answer in time', usedBy: [] }, { ...secret, name: 'wanted', state: 'missing', version: '', bytes: 0, changedAt: null, source: '' }], next: null, total: 3 } } } },
  { name: 'secret-show', args: ['secret', 'show', 'api-cert'], script: { 'GET /v1/secrets/api-cert': { body: { ...secret, state: 'stale', problem: 'Vault: did not answer in time' } } } },
  { name: 'secret-delete', args: ['secret', 'delete', 'api-cert'], script: { 'DELETE /v1/secrets/api-cert': { body: secret } } },
  { name: 'secret-rekey', args: ['secret', 'rekey'], script: { 'POST /v1/secrets-rekey': { body: { secrets: 3, credentials: 12, encrypted: true } } } },
  { name: 'token-nothing', args: ['token', 'revoke'] },
  { name: 'token-wrong-word', args: ['token', 'crate'] },
  { name: 'token-identity-off', args: ['token', 'list'], script: { 'GET /v1/identity/tokens?limit=500': { status: 409, body: { type: 'urn:remora:problem:identity-off', title: 'Identity is off', status: 409, code: 'identity-off', detail: 'identity is off: this control plane was not started with --identity mtls' } } } },
  { name: 'ca-show', args: ['ca', 'show'], script: { 'GET /v1/identity/ca': { body: authority } } },
  { name: 'ca-show-pem', args: ['ca', 'show', '--pem'], script: { 'GET /v1/identity/ca': { body: authority } } },
  {
    name: 'ca-certificates', args: ['ca', 'certificates'],
    script: { 'GET /v1/identity/certificates?limit=500': { body: { items: [nodeCertificate, { ...nodeCertificate, nodeId: 'orders-2', how: 'recover', ends: '2026-11-22T11:00:00.000Z' }], next: null, total: 2 } } },
  },
  { name: 'ca-rotate', args: ['ca', 'rotate'], script: { 'GET /v1/identity/ca/rotation': { body: rotation } } },
  { name: 'ca-rotate-none', args: ['ca', 'rotate', 'status'], script: { 'GET /v1/identity/ca/rotation': { body: { ...rotation, stage: 'none', startedAt: null, changedAt: null, holdBundle: 40, laggards: [], laggardCount: 0, oldTokens: 0, roots: ['a'.repeat(64)] } } } },
  { name: 'ca-rotate-start', args: ['ca', 'rotate', '--start', '--window', '30m'], script: { 'POST /v1/identity/ca/rotation': { body: { ...rotation, holdBundle: 0, laggardCount: 40 } } } },
  {
    name: 'ca-rotate-unsafe', args: ['ca', 'rotate', '--next'],
    script: { 'POST /v1/identity/ca/rotation': { status: 409, body: { type: 'urn:remora:problem:rotation-unsafe', title: 'The next stage would cut instances off', status: 409, code: 'rotation-unsafe', detail: '37 of 40 instances hold the new root; missing: orders-1, orders-2 (not connected), web-1 (not connected). Wait for them, or give force: those would need a new join token' } } },
  },
  { name: 'ca-rotate-two', args: ['ca', 'rotate', '--next', '--abort'] },
  { name: 'identity-revoke', args: ['identity', 'revoke', 'orders-1', '--reason', 'the disk was stolen'], script: { 'POST /v1/identity/revocations': { status: 201, body: revocation } } },
  { name: 'identity-revoke-nobody', args: ['identity', 'revoke', '--reason', 'x'] },
  { name: 'identity-revocations', args: ['identity', 'revocations'], script: { 'GET /v1/identity/revocations?limit=500': { body: { items: [revocation, { ...revocation, id: 'd0ffee123456', nodeId: null }], next: null, total: 2 } } } },
  { name: 'identity-lift', args: ['identity', 'lift', 'c0ffee123456'], script: { 'DELETE /v1/identity/revocations/c0ffee123456': { body: revocation } } },
  { name: 'unreachable', args: ['history', '--server', 'http://127.0.0.1:1'] },
  { name: 'unreachable-json', args: ['history', '--server', 'http://127.0.0.1:1', '-o', 'json'] },
  { name: 'bad-server', args: ['history', '--server', 'ftp://example'] },
  { name: 'unknown-command', args: ['aply'] },
  { name: 'unknown-option', args: ['apply', '--fiel', 'x'] },
  { name: 'not-understood', args: ['get', 'policies'], script: { 'GET /v1/policies': { body: { surprise: true } } } },
  { name: 'not-json', args: ['get', 'policies'], script: { 'GET /v1/policies': { body: 'not { json' } } },
  {
    name: 'get-list', args: ['get', 'policies', '-l', 'team=a', '-l', 'x', '--owner', 'set'],
    script: { 'GET /v1/policies': { body: { items: [stored({ kind: 'Policy', name: 'baseline', target: {} }, 1), stored({ kind: 'Policy', name: 'patient', target: { service: 'payments' }, from: { labels: { a: 'b' } } }, 12)], next: null, total: 2, head } } },
  },
  {
    name: 'get-pages', args: ['get', 'routes'],
    script: {
      'GET /v1/routes?limit=500': { body: { items: [stored({ kind: 'Route', name: 'a', gateway: 'edge' }, 1)], next: 'a', total: 2, head } },
      'GET /v1/routes?limit=500&after=a': { body: { items: [stored({ kind: 'Route', name: 'b', service: 'orders' }, 2)], next: null, total: 2, head } },
    },
  },
  { name: 'get-one', args: ['get', 'policy', 'baseline'], script: { 'GET /v1/policies/baseline': { body: { kind: 'Policy', name: 'baseline', target: {}, timeout: { request: '2s' } } } } },
  { name: 'get-slash-json', args: ['get', 'policy/a', 'service/b', '-o', 'json'], script: { 'GET /v1/policies/a': { body: { kind: 'Policy', name: 'a' } }, 'GET /v1/services/b': { body: { kind: 'Service', name: 'b' } } } },
  { name: 'get-status', args: ['get', 'policy/payments-fail', '--status'], script: { 'GET /v1/policies/payments-fail': { body: { kind: 'Policy', name: 'payments-fail', target: {} } }, 'GET /v1/policies/payments-fail/status': { body: { policy: 'payments-fail', revision: 7, etag: '"x"', refusedBy: [{ nodeId: 'payments-2', subject: 'service/payments', connected: true, refusal: refusedSidecar.lastRefusal }], refusedByCount: 3, enforcement: { ...enforced.counts, total: 4, applied: 1, refused: 3 } } } } },
  { name: 'get-unknown-kind', args: ['get', 'polices'] },
  { name: 'get-not-found', args: ['get', 'policy/x'] },
  { name: 'delete', args: ['delete', 'policy', 'a', '--wait'], script: { 'DELETE /v1/policies/a': { body: { ...written, changeCount: 1, changes: [{ document: 'Policy/a', action: 'deleted', fields: [] }], enforcement: enforced } } } },
  { name: 'delete-several', args: ['delete', 'service/a', 'policy/b', '-m', 'away'], script: { 'POST /v1/delete': { body: { ...written, changeCount: 2, changes: [{ document: 'Service/a', action: 'deleted', fields: [] }, { document: 'Policy/b', action: 'deleted', fields: [] }] } } } },
  { name: 'delete-referred', args: ['delete', 'service/orders'], script: { 'DELETE /v1/services/orders': { status: 409, body: { title: 'Other documents refer to it', status: 409, code: 'referred', detail: 'Service/orders is referred to', referrers: [{ from: 'Route/a', pointer: '/to/0/service', to: 'Service/orders' }, { from: 'Policy/b', pointer: '/target/service', to: 'Service/orders' }] } } } },
  { name: 'diff-revisions', args: ['diff', '3', '4'], script: { 'GET /v1/revisions/4/diff': { body: { from: 3, to: 4, changes: written.changes } } } },
  { name: 'diff-one', args: ['diff', '4', '--exit-code'], script: { 'GET /v1/revisions/4/diff': { body: { from: 3, to: 4, changes: written.changes } } } },
  { name: 'diff-files', args: ['diff', '-f', 'good.yaml', '--exit-code'], script: write({ ...written, outcome: 'dry-run', revision: null }) },
  { name: 'diff-none', args: ['diff', '-f', 'good.yaml', '--exit-code'], script: write({ ...written, outcome: 'dry-run', revision: null, changes: [], changeCount: 0 }) },
  { name: 'diff-nothing-named', args: ['diff'] },
  { name: 'explain', args: ['explain', '--service', 'payments', '--caller', 'batch', '--field', '/timeout'], script: { 'GET /v1/explain': { body: explanation } } },
  { name: 'explain-all', args: ['explain', '--service', 'payments', '--all'], script: { 'GET /v1/explain': { body: { ...explanation, defaults: 0 } } } },
  { name: 'explain-json', args: ['explain', '--service', 'payments', '-o', 'json'], script: { 'GET /v1/explain': { body: { ...explanation, fields: [], defaults: 0 } } } },
  { name: 'explain-defaults', args: ['explain', '--gateway', 'edge'], script: { 'GET /v1/explain': { body: { ...explanation, place: { owner: { kind: 'gateway', name: 'edge' } }, sections: [], fields: [] } } } },
  { name: 'explain-nothing', args: ['explain', '--gateway', 'edge'], script: { 'GET /v1/explain': { body: { ...explanation, place: { owner: { kind: 'gateway', name: 'edge' } }, sections: [], fields: [], defaults: 0 } } } },
  { name: 'explain-at', args: ['explain', '--gateway', 'edge', '--at', '30m', '--field', '/timeout'], script: { 'GET /v1/explain': { body: explanation } } },
  { name: 'explain-both', args: ['explain', '--gateway', 'edge', '--service', 'x'] },
  { name: 'why', args: ['why', '7f3a'], script: { 'GET /v1/why/7f3a': { body: whyAnswer } } },
  { name: 'why-hops', args: ['why', '7f3b'], script: { 'GET /v1/why/7f3b': { body: whyHops } } },
  { name: 'why-chain', args: ['why', '7f3c'], script: { 'GET /v1/why/7f3c': { body: whyChain } } },
  { name: 'why-unknown', args: ['why', 'a/b'], script: { 'GET /v1/why/a/b': { body: { requestId: 'a/b', refusals: [], decided: null, silent: [] } } } },
  { name: 'history', args: ['history', '--since', '30m', '--limit', '2', '--document', 'Policy/baseline'], script: { 'GET /v1/revisions': { body: { items: [revision, { ...revision, revision: 3, kind: 'revert', of: 2, documents: Array.from({ length: 5 }, (_, i) => ({ document: `Policy/p${i}`, action: 'created' })), documentCount: 5 }], next: 3, head, retainedFrom: 1 } } } },
  { name: 'history-canaries', args: ['history'], script: canaryHistory },
  { name: 'history-unfolded', args: ['history', '--unfold'], script: canaryHistory },
  { name: 'canary-list', args: ['canary', 'list'], script: { 'GET /v1/canary-status': { body: { items: [{ ...canaryStatus, decisions: undefined }, { ...failedCanary, decisions: undefined }] } } } },
  { name: 'canary-list-none', args: ['canary', 'list'], script: { 'GET /v1/canary-status': { body: { items: [] } } } },
  { name: 'canary-status', args: ['canary', 'status', 'orders-v2'], script: { 'GET /v1/canaries/orders-v2/status': { body: canaryStatus } } },
  { name: 'canary-status-colours', args: ['canary', 'status', 'orders-v2'], terminal: true, script: { 'GET /v1/canaries/orders-v2/status': { body: { ...canaryStatus, paused: true, blocked: '1 violation: Route/orders-v2/to is wrong' } } } },
  { name: 'canary-status-waiting', args: ['canary', 'status', 'orders-v2'], script: { 'GET /v1/canaries/orders-v2/status': { body: waitingCanary } } },
  { name: 'canary-status-json', args: ['canary', 'status', 'orders-v2', '-o', 'json'], script: { 'GET /v1/canaries/orders-v2/status': { body: waitingCanary } } },
  { name: 'canary-watch-failed', args: ['canary', 'status', 'web-v3', '--watch'], script: { 'GET /v1/canaries/web-v3/status': { body: failedCanary } } },
  { name: 'canary-promote', args: ['canary', 'promote', 'orders-v2', '--now'], script: { 'POST /v1/canaries/orders-v2/promote': { body: { ...canaryStatus, now: { action: 'advance', because: 'promoted', sentence: 'promoted by a person; all gates hold' } } } } },
  { name: 'canary-pause', args: ['canary', 'pause', 'orders-v2'], script: { 'POST /v1/canaries/orders-v2/pause': { body: { ...canaryStatus, paused: true, now: { action: 'hold', because: 'paused', sentence: 'paused by a person' } } } } },
  { name: 'canary-abort-over', args: ['canary', 'abort', 'orders-v2'], script: { 'POST /v1/canaries/orders-v2/abort': { status: 409, body: { type: 'urn:remora:problem:canary-over', title: 'The canary is over', status: 409, code: 'canary-over', detail: 'Canary/orders-v2 is completed: there is nothing to abort' } } } },
  { name: 'apply-owned-by-canary', args: ['apply', '-f', 'good.yaml'], script: problem(409, 'owned-by-canary', { title: 'A running canary has it', detail: 'Route/orders-v2 belongs to Canary/orders-v2, which is at step 2. Wait for its end, or end it: remora canary abort orders-v2', document: 'Route/orders-v2', canary: 'orders-v2' }) },
  { name: 'history-one', args: ['history', '4'], script: { 'GET /v1/revisions/4': { body: revision }, 'GET /v1/revisions/4/diff': { body: { from: 3, to: 4, changes: written.changes } }, 'GET /v1/revisions/4/enforcement': { body: refusedByOne } } },
  { name: 'history-one-forgotten', args: ['history', '4'], script: { 'GET /v1/revisions/4': { body: revision }, 'GET /v1/revisions/4/diff': { body: { from: 3, to: 4, changes: [] } }, 'GET /v1/revisions/4/enforcement': { status: 410, body: { code: 'gone', status: 410, title: 'gone' } } } },
  { name: 'history-bad-since', args: ['history', '--since', 'yesterday'] },
  { name: 'revert', args: ['revert', '4', '--wait', '-m', 'no'], script: { 'POST /v1/revisions/4/revert': { body: { ...written, enforcement: enforced } } } },
  { name: 'revert-conflict', args: ['revert', '#4'], script: { 'POST /v1/revisions/4/revert': { status: 409, body: { title: 'Documents changed since the revision', status: 409, code: 'revert-conflict', detail: '1 of the 1 documents of revision 4 changed since', changedSince: [{ document: 'Policy/baseline', revision: 6 }] } } } },
  { name: 'revert-bad-number', args: ['revert', 'last'] },
  { name: 'restore-to', args: ['restore-to', '2'], script: { 'POST /v1/restore-to/2': { body: written } } },
  { name: 'sidecars', args: ['sidecars'], script: { 'GET /v1/sidecars': { body: { items: [sidecar, refusedSidecar, offlineSidecar], next: null, total: 3, counts: {} } } } },
  { name: 'sidecars-one', args: ['sidecars', 'payments-2'], script: { 'GET /v1/sidecars/payments-2': { body: refusedSidecar } } },
  { name: 'sidecars-filter', args: ['sidecars', '--service', 'orders', '--phase', 'refused'], script: { 'GET /v1/sidecars': { body: { items: [], next: null, total: 0, counts: {} } } } },
  { name: 'inspect-at', args: ['inspect', 'orders-1', '--at', '#4'], script: { 'GET /v1/sidecars/orders-1/snapshot': { body: { nodeId: 'orders-1', subject: 'service/orders', revision: 4, hash: 'abc', entries: [] } } } },
  { name: 'inspect-history', args: ['inspect', 'orders-1', 'history'], script: { 'GET /v1/sidecars/orders-1/history': { body: { nodeId: 'orders-1', items: [] } } } },
  { name: 'tap', args: ['tap', 'orders', '--status', '5xx', '--path', '/v1', '--side', 'inbound', '--method', 'GET', '--for', '1m'], script: { 'GET /v1/tap': { type: 'text/event-stream', body: tapEvents } } },
  { name: 'tap-gateway-json', args: ['tap', 'gateway/edge', '-o', 'json'], script: { 'GET /v1/tap': { type: 'text/event-stream', body: tapEvents } } },
  { name: 'tap-nobody', args: ['tap', 'nobody'], script: { 'GET /v1/tap': { status: 404, body: { title: 'There is no such thing', status: 404, code: 'not-found', detail: 'there is no Service nobody' } } } },
  { name: 'tap-no-name', args: ['tap', 'a/b/c'] },
  { name: 'events', args: ['events', '--count', '2'], script: { 'GET /v1/events': { type: 'text/event-stream', body: ': connected\n\nid: 1-1\nevent: sidecar-refused\ndata: {"at":"2026-11-22T11:59:30.000Z","nodeId":"payments-2","subject":"service/payments","version":{"epoch":1,"index":7},"detail":"unknown-kind"}\n\nevent: gap\ndata: {"detail":"too slow"}\n\n' } } },
];

describe('what commands print, ask and end with', () => {
  test.each(cases)('$name', async ({ name, args, ...options }) => {
    const run = await runScripted(args, { cwd: documents, ...options });
    expectGolden(path.join(import.meta.dirname, 'testdata/golden', `${name}.txt`), goldenOf(args, run));
  });

  test('names of cases are unique', () => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
  });
});
