import { z } from 'zod';
import { shape } from './shape.ts';

export const credentialShape = shape('Credential', z.object({
  id: z.string(),
  consumer: z.string(),
  kind: z.enum(['apiKey', 'basic', 'hmac', 'jwt', 'certificate']),
  state: z.enum(['good', 'expired']),
  createdAt: z.string(),
  expiresAt: z.string().nullable().describe('null: never'),
  author: z.string(),
  known: z.string().describe('What it is recognised by: first characters of a key, a user, a key id, what a certificate says'),
  algorithm: z.string().nullable(),
  issuer: z.string().nullable(),
}));

export const newCredentialShape = shape('NewCredential', z.object({
  secret: z.string().nullable().describe('The key, password or secret in whole. It is in no other answer, ever; null where its owner has it already'),
  credential: credentialShape,
  replaces: credentialShape.nullable().describe('The credential that ends because of this one, and when'),
}));

export const credentialListShape = shape('CredentialList', z.object({ items: z.array(credentialShape), total: z.int() }));
