import { parseDurationMs } from '@remora/core/units';
import { z } from 'zod';
import type { RotationStatus } from '../../identity/ca-rotation.ts';
import type { ControlPlaneIdentity } from '../../identity/control-plane-identity.ts';
import { IdentityError } from '../../identity/identity-error.ts';
import type { Revocation } from '../../identity/revocations.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { readJsonBody } from '../json-body.ts';
import { pageOf } from '../page-of.ts';
import { limitParameter, nameParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';
import { reasonText } from '../request-text.ts';
import { revocationListShape, revocationShape, rotationShape } from '../shapes/identity-shape.ts';

const windowMinMs = 1_000;
const windowMaxMs = 24 * 3_600_000;

const rotationBody = z.strictObject({
  action: z.enum(['start', 'next', 'abort'], { error: 'expected start, next or abort' }),
  window: z.string().default('10m').transform((text, context) => {
    const ms = parseDurationMs(text);
    if (ms !== null && ms >= windowMinMs && ms <= windowMaxMs) return ms;
    context.addIssue({ code: 'custom', message: 'expected a duration from 1s to 24h' });
    return z.NEVER;
  }),
  force: z.boolean().default(false),
});

const revocationBody = z.strictObject({
  nodeId: z.string().max(64).optional(),
  service: z.string().max(253).optional(),
  gateway: z.string().max(253).optional(),
  reason: reasonText(500).min(1, { error: 'expected a reason, for whoever asks later' }),
});

/** Roll of the authority, and revocation. Without identity each answers `identity-off`. */
export function trustRoutes(ports: ApiPorts): ApiRoute[] {
  return [rotationRoute(ports), rotateRoute(ports), revokeRoute(ports), revocationsRoute(ports), liftRoute(ports)];
}

function rotationRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/identity/ca/rotation', operationId: 'getCertificateAuthorityRotation', tag: 'Identity', right: { role: 'viewer', scoped: 'refused' }, summary: 'How far a roll of the certificate authority is, and who stands in the way',
    answers: { 200: { description: 'The stage, and the share of instances', schema: rotationShape } }, problems: ['identity-off'],
    handle: () => ({ status: 200, body: rotationAnswer(identityOf(ports).rotation.status()) }),
  });
}

function rotateRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'POST', path: '/v1/identity/ca/rotation', operationId: 'rotateCertificateAuthority', tag: 'Identity', right: { role: 'admin', scoped: 'refused' }, summary: 'Begins a roll of the certificate authority, or goes one stage on or back',
    description: 'A stage that would cut instances off is refused with `rotation-unsafe`, which says how many; `force` does it all the same.',
    body: { kind: 'json', maxBytes: 4_096, description: '`{"action": "start", "window": "10m"}`', schema: rotationBody },
    answers: { 200: { description: 'Where it is now', schema: rotationShape } }, problems: ['identity-off', 'rotation-stage', 'rotation-unsafe'],
    handle(call) {
      const { rotation } = identityOf(ports);
      const { action, window, force } = readJsonBody(rotationBody, call.body);
      try {
        const status = action === 'start' ? rotation.start(window) : action === 'next' ? rotation.advance(force) : rotation.abort(force);
        if (status === null) throw new ApiError('rotation-unsafe', unsafeText(rotation.status(), action));
        return { status: 200, audit: { action, force, stage: status.stage }, body: rotationAnswer(status) };
      } catch (error) {
        if (error instanceof IdentityError) throw new ApiError('rotation-stage', error.message);
        throw error;
      }
    },
  });
}

function unsafeText({ stage, holdBundle, ofSigner, total, laggards }: RotationStatus, action: string): string {
  const share = action === 'next' && holdBundle < total
    ? `${holdBundle} of ${total} instances hold the ${stage === 'add' ? 'new root' : 'roots that count'}`
    : `${ofSigner} of ${total} instances have a certificate under the root that stays`;
  const names = laggards.slice(0, 10).map(({ nodeId, connected }) => (connected ? nodeId : `${nodeId} (not connected)`)).join(', ');
  return `${share}; missing: ${names}${laggards.length > 10 ? ', …' : ''}. Wait for them, or give force: those would need a new join token`;
}

function revokeRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'POST', path: '/v1/identity/revocations', operationId: 'revokeIdentity', tag: 'Identity', right: { role: 'admin', scoped: 'refused' }, summary: 'Revokes every certificate issued until now to an instance, or to all instances of a service or gateway',
    description: 'Their streams end at once, other sidecars refuse them at the next request, and they cannot renew. A join token made afterwards lets an instance in again.',
    body: { kind: 'json', maxBytes: 4_096, description: '`{"nodeId": "orders-1", "reason": "disk was stolen"}`, or `service` or `gateway` instead', schema: revocationBody },
    answers: { 201: { description: 'The revocation', schema: revocationShape } }, problems: ['identity-off', 'not-found', 'too-many-revocations'],
    handle(call) {
      const identity = identityOf(ports);
      const { reason, ...names } = readJsonBody(revocationBody, call.body);
      const who = whoOf(identity, names);
      try {
        return { status: 201, audit: { ...who, reason }, body: revocationAnswer(identity.revocations.revoke({ ...who, reason, author: call.author })) };
      } catch (error) {
        if (error instanceof IdentityError && error.code === 'too-many-revocations') throw new ApiError('too-many-revocations', error.message);
        throw error;
      }
    },
  });
}

function whoOf({ nodes }: ControlPlaneIdentity, { nodeId, service, gateway }: { readonly nodeId?: string | undefined; readonly service?: string | undefined; readonly gateway?: string | undefined }): { readonly subject: string; readonly nodeId: string } {
  if ([nodeId, service, gateway].filter((each) => each !== undefined).length !== 1) throw new ApiError('bad-parameter', 'expected exactly one of nodeId, service and gateway');
  if (nodeId === undefined) return { subject: service === undefined ? `gateway/${gateway ?? ''}` : `service/${service}`, nodeId: '' };
  const known = nodes.find(nodeId);
  if (!known) throw new ApiError('not-found', `no certificate was issued to an instance ${JSON.stringify(nodeId.slice(0, 64))}; \`remora ca certificates\` lists them`);
  return { subject: known.subject, nodeId };
}

function revocationsRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/identity/revocations', operationId: 'listRevocations', tag: 'Identity', right: { role: 'viewer', scoped: 'refused' }, summary: 'What is revoked, newest first',
    query: z.object({ limit: limitParameter(1_000, 200), after: nameParameter.optional().describe('`next` of the page before') }),
    answers: { 200: { description: 'One page', schema: revocationListShape } }, problems: ['identity-off'],
    handle: ({ query }) => ({ status: 200, body: pageOf(identityOf(ports).revocations.list(), query, ({ id }) => id, revocationAnswer) }),
  });
}

function liftRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'DELETE', path: '/v1/identity/revocations/{id}', operationId: 'liftRevocation', tag: 'Identity', right: { role: 'admin', scoped: 'refused' }, summary: 'Lifts a revocation that was a mistake',
    params: z.object({ id: nameParameter.describe('Of the revocation') }),
    answers: { 200: { description: 'What was lifted', schema: revocationShape } }, problems: ['identity-off', 'not-found'],
    handle({ params: { id } }) {
      const { revocations } = identityOf(ports);
      const found = revocations.list().find((one) => one.id === id);
      if (!found || !revocations.lift(id)) throw new ApiError('not-found', `there is no revocation with the id ${id.slice(0, 20)}`);
      return { status: 200, body: revocationAnswer(found) };
    },
  });
}

function identityOf({ identity }: ApiPorts): ControlPlaneIdentity {
  if (!identity) throw new ApiError('identity-off', 'identity is off: this control plane was not started with --identity mtls');
  return identity;
}

function rotationAnswer({ startedMs, changedMs, windowMs, ...status }: RotationStatus): object {
  return { ...status, startedAt: momentOf(startedMs), changedAt: momentOf(changedMs), window: `${Math.round(windowMs / 1_000)}s` };
}

function revocationAnswer({ id, subject, nodeId, reason, author, revokedMs, endsMs }: Revocation): object {
  return { id, subject, nodeId: nodeId === '' ? null : nodeId, reason, author, revokedAt: new Date(revokedMs).toISOString(), ends: new Date(endsMs).toISOString() };
}

function momentOf(ms: number): string | null {
  return ms === 0 ? null : new Date(ms).toISOString();
}
