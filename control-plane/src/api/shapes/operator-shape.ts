import { z } from 'zod';
import { shape } from './shape.ts';
import { subjectKeyShape } from './version-shape.ts';

const role = z.enum(['viewer', 'editor', 'admin']);

export const apiTokenShape = shape('ApiToken', z.object({
  id: z.string(),
  name: z.string(),
  role,
  subjects: z.array(subjectKeyShape).nullable().describe('Services and gateways that it is for; null: everything'),
  state: z.enum(['good', 'expired', 'revoked']),
  createdAt: z.string(),
  expiresAt: z.string(),
  author: z.string(),
  lastUsed: z.object({ at: z.string(), address: z.string() }).nullable().describe('To the minute'),
}));

export const newApiTokenShape = shape('NewApiToken', z.object({
  token: z.string().describe('The whole token. It is in no other answer, ever'),
  status: apiTokenShape,
  unknown: z.array(subjectKeyShape).describe('Of its services and gateways, those that do not exist yet'),
}));

export const apiTokenListShape = shape('ApiTokenList', z.object({ items: z.array(apiTokenShape), next: z.string().nullable(), total: z.int() }));

export const whoamiShape = shape('Whoami', z.object({
  authentication: z.enum(['tokens', 'off']).describe('`off`: the API asks nobody, and the name is what the request says of itself'),
  kind: z.enum(['open', 'token', 'user', 'first']),
  id: z.string().describe('Of the token; issuer and subject of a user'),
  name: z.string(),
  author: z.string().describe('As the history names it'),
  grants: z.array(z.object({ role, subjects: z.array(subjectKeyShape).nullable().describe('null: everything') })),
  expiresAt: z.string().nullable(),
}));

export const loginShape = shape('Login', z.object({
  authentication: z.enum(['tokens', 'off']),
  oidc: z.object({ issuer: z.string(), clientId: z.string(), scopes: z.array(z.string()), token: z.enum(['id_token', 'access_token']) }).nullable().describe('null: API tokens only'),
}));
