import type { X509Certificate } from 'node:crypto';
import { parseDurationMs } from '@remora/core/units';
import { subjectKey, type Subject } from '@remora/core/subject';
import { certificatePin } from '@remora/identity/join-token';
import { certificatePem } from '@remora/identity/pem';
import { z } from 'zod';
import type { ControlPlaneIdentity } from '../../identity/control-plane-identity.ts';
import { IdentityError } from '../../identity/identity-error.ts';
import { tokenLimits, type TokenStatus } from '../../identity/join-tokens.ts';
import type { NodeRecord } from '../../identity/node-records.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { readJsonBody } from '../json-body.ts';
import type { Access } from '../../operators/access.ts';
import { ForbiddenError } from '../../operators/forbidden-error.ts';
import { requireSubject } from '../require-subject.ts';
import { pageOf } from '../page-of.ts';
import { limitParameter, nameParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';
import { authorityShape, joinTokenListShape, joinTokenShape, newJoinTokenShape, nodeCertificateListShape } from '../shapes/identity-shape.ts';

const page = z.object({ limit: limitParameter(1_000, 200), after: nameParameter.optional().describe('`next` of the page before') });

const tokenBody = z.strictObject({
  service: z.string().max(253).optional(),
  gateway: z.string().max(253).optional(),
  ttl: z.string().default('1h').transform((text, context) => {
    const ms = parseDurationMs(text);
    if (ms !== null && ms >= tokenLimits.ttlMinMs && ms <= tokenLimits.ttlMaxMs) return ms;
    context.addIssue({ code: 'custom', message: 'expected a duration from 1m to 30d' });
    return z.NEVER;
  }),
  uses: z.int({ error: `expected a whole number from 1 to ${tokenLimits.usesMax}` }).min(1, { error: `expected a whole number from 1 to ${tokenLimits.usesMax}` }).max(tokenLimits.usesMax, { error: `expected a whole number from 1 to ${tokenLimits.usesMax}` }).default(1),
});

/** Join tokens, the certificate authority, and who has a certificate. Without identity each answers `identity-off`. */
export function identityRoutes(ports: ApiPorts): ApiRoute[] {
  return [createTokenRoute(ports), listTokensRoute(ports), revokeTokenRoute(ports), authorityRoute(ports), nodesRoute(ports)];
}

function createTokenRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'POST', path: '/v1/identity/tokens', operationId: 'createJoinToken', tag: 'Identity', right: { role: 'editor', scoped: 'checked' }, summary: 'Makes a join token for instances of one service or gateway',
    description: 'The answer has the token in whole, this once; only a hash of it is kept. Exactly one of `service` and `gateway`, which must exist.',
    body: { kind: 'json', maxBytes: 4_096, description: '`{"service": "orders", "ttl": "1h", "uses": 1}`', schema: tokenBody },
    answers: { 201: { description: 'The token', schema: newJoinTokenShape } }, problems: ['identity-off', 'not-found', 'too-many-tokens'],
    handle(call) {
      const identity = identityOf(ports);
      const { ttl, uses, ...names } = readJsonBody(tokenBody, call.body);
      const subject = subjectOf(ports, call.access, names);
      try {
        const { token, status } = identity.createToken({ subject, ttlMs: ttl, uses, author: call.author });
        return { status: 201, headers: { 'cache-control': 'no-store' }, audit: { id: status.id, subject: status.subject, uses: status.uses, expiresAt: timeText(status.expiresMs) }, body: { token, status: tokenAnswer(status) } };
      } catch (error) {
        if (error instanceof IdentityError && error.code === 'too-many-tokens') throw new ApiError('too-many-tokens', error.message);
        throw error;
      }
    },
  });
}

function listTokensRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/identity/tokens', operationId: 'listJoinTokens', tag: 'Identity', right: { role: 'viewer', scoped: 'checked' }, summary: 'Join tokens, newest first, without their secrets',
    description: 'Those that are over are listed for seven days.',
    query: page, answers: { 200: { description: 'One page', schema: joinTokenListShape } }, problems: ['identity-off'],
    handle: ({ query, access }) => ({ status: 200, body: pageOf(identityOf(ports).tokens.list().filter(({ subject }) => access.sees(subject)), query, ({ id }) => id, tokenAnswer) }),
  });
}

function revokeTokenRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'DELETE', path: '/v1/identity/tokens/{id}', operationId: 'revokeJoinToken', tag: 'Identity', right: { role: 'editor', scoped: 'checked' }, summary: 'Revokes a join token: nobody joins with it any more',
    description: 'Instances that joined with it keep their certificates.',
    params: z.object({ id: nameParameter.describe('Id of the token: its second part') }),
    answers: { 200: { description: 'What is kept of it', schema: joinTokenShape } }, problems: ['identity-off', 'not-found'],
    handle({ params: { id }, access }) {
      const { tokens } = identityOf(ports);
      const known = tokens.find(id);
      if (known ? !access.mayAt('editor', known.subject) : !access.may('editor')) throw new ForbiddenError(access.principal, { role: 'editor', right: 'write', document: `join token ${id}`, detail: `join token ${id}: not of this role's scope` });
      const status = tokens.revoke(id) ? tokens.find(id) : null;
      if (!status) throw new ApiError('not-found', `there is no join token with the id ${id.slice(0, 20)}`);
      return { status: 200, audit: { id, subject: status.subject }, body: tokenAnswer(status) };
    },
  });
}

function authorityRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/identity/ca', operationId: 'getCertificateAuthority', tag: 'Identity', right: { role: 'viewer', scoped: 'refused' }, summary: 'The certificate authority: trust domain, roots, and when they end',
    answers: { 200: { description: 'Without its key', schema: authorityShape } }, problems: ['identity-off'],
    handle() {
      const { trustDomain, source, encrypted, issuer, roots, endsMs, nodes, problem } = identityOf(ports).authorityStatus();
      const body = { trustDomain, source, encrypted, issuer: certificateAnswer(issuer), roots: roots.map(certificateAnswer), ends: timeText(endsMs), nodes, problem: problem === '' ? null : problem };
      return { status: 200, body };
    },
  });
}

function nodesRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/identity/certificates', operationId: 'listCertificates', tag: 'Identity', right: { role: 'viewer', scoped: 'checked' }, summary: 'The newest certificate of each instance',
    query: page, answers: { 200: { description: 'One page, by node id', schema: nodeCertificateListShape } }, problems: ['identity-off'],
    handle: ({ query, access }) => ({ status: 200, body: pageOf(identityOf(ports).nodes.list().filter(({ subject }) => access.sees(subject)), query, ({ nodeId }) => nodeId, nodeAnswer) }),
  });
}

function identityOf({ identity }: ApiPorts): ControlPlaneIdentity {
  if (!identity) throw new ApiError('identity-off', 'identity is off: this control plane was not started with --identity mtls');
  return identity;
}

/** A token for what does not exist is a mistake in its name, nearly always. */
function subjectOf(ports: ApiPorts, access: Access, { service, gateway }: { readonly service?: string | undefined; readonly gateway?: string | undefined }): Subject {
  if ((service === undefined) === (gateway === undefined)) throw new ApiError('bad-parameter', 'expected exactly one of service and gateway');
  const subject: Subject = service === undefined ? { kind: 'gateway', name: gateway ?? '' } : { kind: 'service', name: service };
  requireSubject(access, subjectKey(subject), 'editor');
  const key = `${subject.kind === 'service' ? 'Service' : 'Gateway'}/${subject.name}` as const;
  if (!ports.store.documents().has(key)) throw new ApiError('not-found', `there is no ${subjectKey(subject).replace('/', ' ')}; apply its document first`);
  return subject;
}

function tokenAnswer({ id, subject, state, createdMs, expiresMs, author, uses, used }: TokenStatus): object {
  return { id, subject, state, createdAt: timeText(createdMs), expiresAt: timeText(expiresMs), author, uses, used };
}

function nodeAnswer({ nodeId, subject, how, serials, issuedMs, endsMs, recoverUntilMs, token }: NodeRecord): object {
  return { nodeId, subject, how, serial: serials[0] ?? '', issuedAt: timeText(issuedMs), ends: timeText(endsMs), recoverUntil: timeText(recoverUntilMs), token };
}

function certificateAnswer(certificate: X509Certificate): object {
  const { subject, issuer, serialNumber, fingerprint256, raw, validFromDate, validToDate } = certificate;
  return { subject, issuer, serial: serialNumber, fingerprint: fingerprint256, pin: certificatePin(raw), from: timeText(validFromDate.getTime()), ends: timeText(validToDate.getTime()), pem: certificatePem(raw) };
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
