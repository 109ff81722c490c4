import { parseDurationMs } from '@remora/core/units';
import type { SubjectKey } from '@remora/core/subject';
import { z } from 'zod';
import { apiTokenLimits, apiTokenName, TooManyApiTokens } from '../../operators/api-tokens.ts';
import type { ApiTokenStatus } from '../../operators/api-tokens.ts';
import type { Operators } from '../../operators/operators.ts';
import { authorOf } from '../../operators/principal.ts';
import { roles } from '../../operators/role.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { readJsonBody } from '../json-body.ts';
import { pageOf } from '../page-of.ts';
import { limitParameter, nameParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';
import { apiTokenListShape, apiTokenShape, loginShape, newApiTokenShape, whoamiShape } from '../shapes/operator-shape.ts';

const names = z.array(z.string().min(1).max(253)).max(apiTokenLimits.subjectsMax, { error: `expected at most ${apiTokenLimits.subjectsMax}` }).default([]);

const tokenBody = z.strictObject({
  name: z.string().regex(apiTokenName, { error: 'expected 1 to 63 of a-z, 0-9, . _ - (first and last a letter or digit)' }).describe('Stands in the history as `token:<name>`'),
  role: z.enum(roles, { error: `expected one of ${roles.join(', ')}` }),
  services: names.describe('Only for these; with `gateways` empty too: for everything'),
  gateways: names,
  ttl: z.string().default('30d').transform((text, context) => {
    const ms = parseDurationMs(text);
    if (ms !== null && ms >= apiTokenLimits.ttlMinMs && ms <= apiTokenLimits.ttlMaxMs) return ms;
    context.addIssue({ code: 'custom', message: 'expected a duration from 1m to 366d' });
    return z.NEVER;
  }),
});

/** Who may use the API: tokens, who one is, and how to log in. Without authentication the tokens answer `authentication-off`. */
export function operatorRoutes(ports: ApiPorts): ApiRoute[] {
  return [whoamiRoute(ports), loginRoute(ports), createTokenRoute(ports), listTokensRoute(ports), revokeTokenRoute(ports)];
}

function whoamiRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/whoami', operationId: 'whoami', tag: 'Operators', right: { role: 'viewer', scoped: 'whole', first: true }, summary: 'Who asks, and what they may do',
    answers: { 200: { description: 'Who that is', schema: whoamiShape } },
    handle({ access: { principal } }) {
      const { kind, id, name, grants, expiresMs } = principal;
      const body = {
        authentication: ports.operators ? 'tokens' : 'off', kind, id, name, author: authorOf(principal),
        grants: grants.map(({ role, scope }) => ({ role, subjects: scope?.subjects ?? null })),
        expiresAt: expiresMs === null ? null : timeText(expiresMs),
      };
      return { status: 200, body };
    },
  });
}

function loginRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/login', operationId: 'login', tag: 'Operators', right: 'open', summary: 'Whether the API asks for tokens, and where `remora login` gets one',
    answers: { 200: { description: 'Nothing of it is secret', schema: loginShape } },
    handle: () => ({ status: 200, body: { authentication: ports.operators ? 'tokens' : 'off', oidc: ports.operators?.login ?? null } }),
  });
}

function createTokenRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'POST', path: '/v1/api-tokens', operationId: 'createApiToken', tag: 'Operators', right: { role: 'admin', scoped: 'refused', first: true }, summary: 'Makes a token for a person or program at this API',
    description: 'The answer has the token in whole, this once; only a hash of it is kept. Viewers and editors can be for some services and gateways only, which need not exist yet.',
    body: { kind: 'json', maxBytes: 64 * 1024, description: '`{"name": "ci", "role": "editor", "services": ["orders"], "ttl": "30d"}`', schema: tokenBody },
    answers: { 201: { description: 'The token', schema: newApiTokenShape } }, problems: ['authentication-off', 'too-many-api-tokens'],
    handle(call) {
      const { tokens, first } = operatorsOf(ports);
      const { name, role, services, gateways, ttl } = readJsonBody(tokenBody, call.body);
      const subjects: SubjectKey[] = [...new Set([...services.map((one): SubjectKey => `service/${one}`), ...gateways.map((one): SubjectKey => `gateway/${one}`)])];
      if (role === 'admin' && subjects.length > 0) throw new ApiError('bad-parameter', 'role: an admin cannot be for some services only, because what only admins may do (tokens, authority, audit) is wider than any; use editor');
      try {
        const { text, status } = tokens.create({ name, grant: { role, scope: subjects.length === 0 ? null : { subjects } }, ttlMs: ttl, author: call.author });
        if (role === 'admin') first.end();
        return { status: 201, audit: { id: status.id, name, role, subjects: status.subjects, expiresAt: timeText(status.expiresMs) }, body: { token: text, status: tokenAnswer(status), unknown: subjects.filter((subject) => !ports.store.documents().has(documentOf(subject))) } };
      } catch (error) {
        if (error instanceof TooManyApiTokens) throw new ApiError('too-many-api-tokens', error.message);
        throw error;
      }
    },
  });
}

function listTokensRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/api-tokens', operationId: 'listApiTokens', tag: 'Operators', right: { role: 'admin', scoped: 'refused' }, summary: 'API tokens, newest first, without their secrets',
    description: 'Those that are over are listed for 30 days.',
    query: z.object({ limit: limitParameter(1_000, 200), after: nameParameter.optional().describe('`next` of the page before') }),
    answers: { 200: { description: 'One page', schema: apiTokenListShape } }, problems: ['authentication-off'],
    handle: ({ query }) => ({ status: 200, body: pageOf(operatorsOf(ports).tokens.list(), query, ({ id }) => id, tokenAnswer) }),
  });
}

function revokeTokenRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'DELETE', path: '/v1/api-tokens/{id}', operationId: 'revokeApiToken', tag: 'Operators', right: { role: 'admin', scoped: 'refused' }, summary: 'Revokes an API token: it opens nothing any more',
    description: 'At once; event streams that it opened end within seconds.',
    params: z.object({ id: nameParameter.describe('Id of the token: its second part') }),
    answers: { 200: { description: 'What is kept of it', schema: apiTokenShape } }, problems: ['authentication-off', 'not-found'],
    handle({ params: { id } }) {
      const status = operatorsOf(ports).tokens.revoke(id);
      if (!status) throw new ApiError('not-found', `there is no API token with the id ${id.slice(0, 20)}`);
      return { status: 200, audit: { id: status.id, name: status.name }, body: tokenAnswer(status) };
    },
  });
}

function operatorsOf({ operators }: ApiPorts): Operators {
  if (!operators) throw new ApiError('authentication-off', 'this control plane was started with --api-auth off: it asks nobody, and has no tokens');
  return operators;
}

function tokenAnswer({ id, name, role, subjects, state, createdMs, expiresMs, author, lastUsed }: ApiTokenStatus): object {
  return { id, name, role, subjects, state, createdAt: timeText(createdMs), expiresAt: timeText(expiresMs), author, lastUsed: lastUsed && { at: timeText(lastUsed.atMs), address: lastUsed.address } };
}

function documentOf(subject: SubjectKey): `${string}/${string}` {
  const name = subject.slice(subject.indexOf('/') + 1);
  return subject.startsWith('service/') ? `Service/${name}` : `Gateway/${name}`;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
