import { parseDurationMs } from '@remora/core/units';
import { certificateMatches } from '@remora/policy-kit/consumer-credentials';
import { z } from 'zod';
import { ConsumerError } from '../../consumers/consumer-error.ts';
import { credentialKinds } from '../../consumers/credential.ts';
import type { Credential } from '../../consumers/credential.ts';
import { makeCredential } from '../../consumers/make-credential.ts';
import { IdentityError } from '../../identity/identity-error.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { findDocument } from '../find-document.ts';
import { readJsonBody } from '../json-body.ts';
import { nameParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';
import { credentialListShape, credentialShape, newCredentialShape } from '../shapes/consumer-shape.ts';

const dayMs = 86_400_000;
const ttlMaxMs = 3_650 * dayMs;
const tag = 'Consumers';

const ttl = z.string().transform((text, context) => {
  const ms = parseDurationMs(text);
  if (ms !== null && ms >= 1_000 && ms <= ttlMaxMs) return ms;
  context.addIssue({ code: 'custom', message: 'expected a duration from 1s to 3650d' });
  return z.NEVER;
});

const makeBody = z.strictObject({
  ttl: ttl.optional().describe('How long it is good; absent: for ever'),
  value: z.string().max(4_096).optional().describe('A key, password or secret that exists already; absent: one is made'),
  user: z.string().max(255).optional().describe('basic: the name to log in with; default the consumer\'s'),
  keyId: z.string().max(255).optional().describe('hmac and jwt: what signatures call the key; default its id'),
  algorithm: z.string().max(40).optional().describe('hmac: hmac-sha256, ed25519, ecdsa-p256-sha256, rsa-pss-sha512, rsa-v1_5-sha256; jwt: those of RFC 7518 and 8037'),
  issuer: z.string().max(2_048).optional().describe('jwt: the issuer that its tokens name'),
  publicKey: z.string().max(16_384).optional().describe('hmac and jwt: PEM, instead of a shared secret'),
  certificate: z.string().max(65_536).optional().describe('certificate: PEM; it is known by its fingerprint'),
  match: z.enum(certificateMatches).optional().describe('certificate: what of it is compared with value'),
  replaces: nameParameter.optional().describe('Id of a credential of the same kind that ends for this one'),
  overlap: ttl.optional().describe('With replaces: how long both are good; default 1d'),
});

const expireBody = z.strictObject({ in: ttl.nullable().describe('From now on; null: it does not end') });

/** What proves consumers: made, listed without secrets, ended. */
export function consumerRoutes(ports: ApiPorts): ApiRoute[] {
  return [createRoute(ports), listRoute(ports), expireRoute(ports), revokeRoute(ports)];
}

function createRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'POST', path: '/v1/consumers/{name}/credentials/{kind}', operationId: 'createCredential', tag, right: { role: 'editor', scoped: 'refused' }, summary: 'Makes a credential of a Consumer',
    description: 'The answer has the key, password or secret in whole, this once. Credentials are in no revision: no revert brings back what was revoked. With `replaces`, the one before ends after `overlap`.',
    params: z.object({ name: nameParameter, kind: z.enum(credentialKinds, { error: `expected one of ${credentialKinds.join(', ')}` }) }),
    body: { kind: 'json', maxBytes: 128 * 1024, description: '`{"ttl": "90d"}`', schema: makeBody },
    answers: { 201: { description: 'The credential', schema: newCredentialShape } }, problems: ['not-found', 'credential-taken', 'too-many-credentials', 'no-encryption-key'],
    async handle({ params: { name, kind }, body, author, access }) {
      findDocument(ports, access, 'Consumer', name);
      const { ttl: ttlMs, replaces, overlap = dayMs, ...request } = readJsonBody(makeBody, body);
      const nowMs = ports.clock.wallMs();
      const before = replaces === undefined ? null : credentialOf(ports, name, replaces);
      if (before !== null && before.kind !== kind) throw new ApiError('bad-parameter', `replaces: ${replaces ?? ''} is of kind ${before.kind}`);
      return refusals(async () => {
        const { credential, secret } = await makeCredential(kind, { ...request, consumer: name, author, nowMs, expiresMs: ttlMs === undefined ? null : nowMs + ttlMs }, { book: ports.credentials, sealer: ports.sealer });
        // Deriving a password's hash took its time: the consumer may be gone.
        findDocument(ports, access, 'Consumer', name);
        ports.credentials.add(credential);
        const replaced = before && ports.credentials.expire(before.id, Math.min(before.expiresMs ?? Infinity, nowMs + overlap));
        const answer = { secret: secret === '' || request.value !== undefined ? null : secret, credential: credentialAnswer(credential, nowMs), replaces: replaced && credentialAnswer(replaced, nowMs) };
        return { status: 201, headers: { 'cache-control': 'no-store' }, audit: { id: credential.id, ...(replaced ? { replaces: replaced.id } : {}) }, body: answer };
      });
    },
  });
}

function listRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/consumers/{name}/credentials', operationId: 'listCredentials', tag, right: { role: 'viewer', scoped: 'refused' }, summary: 'Credentials of a Consumer, newest first, without their secrets',
    params: z.object({ name: nameParameter }),
    answers: { 200: { description: 'All of them: at most 64', schema: credentialListShape } }, problems: ['not-found'],
    handle({ params: { name }, access }) {
      findDocument(ports, access, 'Consumer', name);
      const items = ports.credentials.of(name).map((one) => credentialAnswer(one, ports.clock.wallMs()));
      return { status: 200, body: { items, total: items.length } };
    },
  });
}

function expireRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'PUT', path: '/v1/consumers/{name}/credentials/{id}/expiry', operationId: 'expireCredential', tag, right: { role: 'editor', scoped: 'refused' }, summary: 'Changes when a credential ends',
    params: z.object({ name: nameParameter, id: nameParameter }),
    body: { kind: 'json', maxBytes: 1_024, description: '`{"in": "7d"}`', schema: expireBody },
    answers: { 200: { description: 'The credential', schema: credentialShape } }, problems: ['not-found'],
    handle({ params: { name, id }, body }) {
      credentialOf(ports, name, id);
      const nowMs = ports.clock.wallMs();
      const after = readJsonBody(expireBody, body).in;
      const changed = ports.credentials.expire(id, after === null ? null : nowMs + after);
      if (!changed) throw notThere(name, id);
      return { status: 200, audit: { id, expiresAt: changed.expiresMs === null ? null : timeText(changed.expiresMs) }, body: credentialAnswer(changed, nowMs) };
    },
  });
}

function revokeRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'DELETE', path: '/v1/consumers/{name}/credentials/{id}', operationId: 'revokeCredential', tag, right: { role: 'editor', scoped: 'refused' }, summary: 'Revokes a credential: it proves nobody any more',
    params: z.object({ name: nameParameter, id: nameParameter }),
    answers: { 200: { description: 'What was revoked', schema: credentialShape } }, problems: ['not-found'],
    handle({ params: { name, id } }) {
      const known = credentialOf(ports, name, id);
      ports.credentials.remove([id]);
      return { status: 200, audit: { id, kind: known.kind }, body: credentialAnswer(known, ports.clock.wallMs()) };
    },
  });
}

function credentialOf(ports: ApiPorts, consumer: string, id: string): Credential {
  const found = ports.credentials.find(id);
  if (found?.consumer !== consumer) throw notThere(consumer, id);
  return found;
}

function notThere(consumer: string, id: string): ApiError {
  return new ApiError('not-found', `Consumer/${consumer} has no credential ${id.slice(0, 40)}`);
}

async function refusals<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof IdentityError && error.code === 'no-key') throw new ApiError('no-encryption-key', error.message);
    throw error instanceof ConsumerError ? refusalOf(error) : error;
  }
}

function refusalOf({ code, pointer, message }: ConsumerError): ApiError {
  if (code === 'taken') return new ApiError('credential-taken', message);
  if (code === 'too-many-credentials') return new ApiError('too-many-credentials', message);
  return new ApiError('bad-parameter', `${pointer}: ${message}`, { violations: [{ document: 'body', pointer, code: 'bad-parameter', message }] });
}

function credentialAnswer(credential: Credential, nowMs: number): object {
  const { id, consumer, kind, createdMs, expiresMs, author } = credential;
  const signs = credential.kind === 'hmac' || credential.kind === 'jwt';
  return {
    id, consumer, kind, author, state: expiresMs !== null && expiresMs <= nowMs ? 'expired' : 'good', createdAt: timeText(createdMs), expiresAt: expiresMs === null ? null : timeText(expiresMs),
    known: knownBy(credential), algorithm: signs ? credential.algorithm : null, issuer: credential.kind === 'jwt' ? credential.issuer : null,
  };
}

function knownBy(credential: Credential): string {
  switch (credential.kind) {
    case 'apiKey': return `${credential.prefix}…`;
    case 'basic': return credential.user;
    case 'hmac':
    case 'jwt': return credential.keyId;
    case 'certificate': return `${credential.match} ${credential.value}`;
  }
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
